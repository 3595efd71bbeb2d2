//! Policies of the whole cluster: `ClusterNetworkPolicy` and its older forms.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{decision::Direction, ports::PortMatch, selector::Selector};

/// A policy of the whole cluster: ordered rules, and no implicit isolation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Which of the three kinds it is.
    pub kind: ClusterKind,
    /// Its name.
    pub name: String,
    /// Whether it is judged before or after NetworkPolicies.
    pub tier: Tier,
    /// 0 to 1000, lower first. The one `BaselineAdminNetworkPolicy` has none and gets 1000.
    pub priority: u16,
    /// Whose traffic it judges.
    pub subject: Subject,
    /// Rules for what comes in.
    pub ingress: Vec<ClusterRule>,
    /// Rules for what goes out.
    pub egress: Vec<ClusterRule>,
}

/// The kinds of such policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterKind {
    /// `policy.networking.k8s.io/v1alpha2`.
    ClusterNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`, in the Admin tier.
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`, in the Baseline tier.
    BaselineAdminNetworkPolicy,
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
        })
    }
}

/// When a policy is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Before NetworkPolicies.
    Admin,
    /// After NetworkPolicies, where none of them isolates the pod.
    Baseline,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "Admin",
            Self::Baseline => "Baseline",
        })
    }
}

/// Pods of namespaces; pods on their node's network are never among them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Which namespaces.
    pub namespaces: Selector,
    /// Which pods in them.
    pub pods: Selector,
}

/// A rule of such a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRule {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What becomes of traffic that it matches.
    pub action: Action,
    /// The other ends; any of them matches.
    pub peers: Vec<ClusterPeer>,
    /// The ports; everything, ICMP included, where absent.
    pub ports: Option<Vec<PortMatch>>,
}

/// What becomes of traffic that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is let through; the older kinds write `Allow`.
    Accept,
    /// It is kept out.
    Deny,
    /// The rest of the tier is skipped.
    Pass,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "Accept",
            Self::Deny => "Deny",
            Self::Pass => "Pass",
        })
    }
}

/// Other ends of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPeer {
    /// Pods of namespaces.
    Pods(Subject),
    /// Nodes, by their addresses.
    Nodes(Selector),
    /// Addresses, those of pods included.
    Networks(Vec<IpNet>),
    /// Hosts, by name.
    DomainNames(Vec<String>),
    /// A kind of peer that isn't known here: the rule fails closed.
    Unknown(String),
}

impl ClusterPolicy {
    /// The rules of a direction.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl ClusterRule {
    /// True where one of its peers isn't known: an Accept rule matches nothing then, and
    /// any other denies everything.
    pub fn fails_closed(&self) -> bool {
        self.peers.iter().any(|peer| matches!(peer, ClusterPeer::Unknown(_)))
    }
}

/// True where a host's name is what a pattern means. `*` stands for one or more labels.
pub(super) fn names_host(pattern: &str, host: &str) -> bool {
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (pattern, host) = (plain(pattern), plain(host));
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}
