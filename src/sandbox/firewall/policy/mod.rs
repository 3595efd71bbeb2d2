//! Policies of both kinds, read once: whom they are about, and what their rules ask for.

pub(super) mod cluster;
mod followed;
pub(super) mod network;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub(super) use self::followed::{Among, Ask, Followed};
use super::{addresses::Addresses, ruleset::PortRange, selector::selects, snapshot::PodEntry};
use crate::model::{Labels, Transport};

/// Which way a connection goes, seen from the pod that the policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox) enum Direction {
    Egress,
    Ingress,
}

impl Direction {
    /// In the order in which a packet meets them.
    pub(super) const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The word in `policyTypes`.
    fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// The field of the spec that holds the rules.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Namespace and name; a ClusterNetworkPolicy's namespace is empty.
pub(in crate::sandbox) type PolicyKey = (String, String);

/// When a ClusterNetworkPolicy is asked: before NetworkPolicies, or where none of them
/// isolates the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Admin,
    Baseline,
}

impl Tier {
    pub(super) const BOTH: [Self; 2] = [Self::Admin, Self::Baseline];
}

/// A policy, as far as rules are made of it.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub key: PolicyKey,
    /// A ClusterNetworkPolicy's tier and priority.
    pub rank: Option<(Tier, u16)>,
    subject: PeerSelector,
    /// The rules of each direction in which it has a say. A NetworkPolicy isolates there.
    rules: BTreeMap<Direction, Vec<PolicyRule>>,
}

/// Something that a policy says: of these peers by these ports.
#[derive(Clone, Debug)]
pub(super) struct PolicyRule {
    /// None for whoever it is.
    pub peers: Option<Peers>,
    /// None for every port of every protocol.
    pub ports: Option<Vec<Port>>,
    /// The policy and the rule's number: `shop/db ingress[0]`.
    pub by: String,
    /// What becomes of what it matches.
    pub verdict: Verdict,
}

/// What a rule does. Those of NetworkPolicies accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Deny,
    /// Leave it to what comes after the policy's tier.
    Pass,
}

/// The other ends of a rule; one that fits is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    pub selectors: Vec<PeerSelector>,
    pub blocks: Addresses,
    /// Nodes by their labels.
    pub nodes: Vec<LabelSelector>,
    /// Names of hosts, in lower case; `*.` in front stands for one label or more.
    pub names: Vec<String>,
}

/// Pods by their own and their namespace's labels.
#[derive(Clone, Debug)]
pub(super) struct PeerSelector {
    /// None for the policy's own namespace.
    namespaces: Option<LabelSelector>,
    /// None for all pods.
    pods: Option<LabelSelector>,
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Every port of a transport.
    All(Transport),
    /// These ports of a transport.
    Range(Transport, PortRange),
    /// On each destination its own.
    Named(Transport, String),
}

impl Policy {
    /// Its rules in a direction; none where it has no say.
    pub(super) fn rules(&self, direction: Direction) -> Option<&[PolicyRule]> {
        self.rules.get(&direction).map(Vec::as_slice)
    }

    /// Whether it is about a pod.
    pub(super) fn selects(&self, pod: &PodEntry, namespaces: &BTreeMap<String, Labels>) -> bool {
        self.subject.chooses(&self.key.0, pod, namespaces)
    }
}

impl Peers {
    /// Whether a node is among them.
    pub(super) fn chooses_node(&self, labels: &Labels) -> bool {
        self.nodes.iter().any(|selector| selects(selector, labels))
    }

    /// Whether a host is among them, by its name in lower case.
    pub(super) fn chooses_host(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => name
                .strip_suffix(parent)
                .is_some_and(|label| label.len() > 1 && label.ends_with('.')),
            None => name == pattern,
        })
    }
}

impl PeerSelector {
    fn chooses(&self, own: &str, pod: &PodEntry, namespaces: &BTreeMap<String, Labels>) -> bool {
        let none = Labels::new();
        let in_namespace = match &self.namespaces {
            Some(selector) => selects(selector, namespaces.get(&pod.namespace).unwrap_or(&none)),
            None => pod.namespace == own,
        };
        in_namespace && self.pods.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
    }
}

/// The numbers of a pod's port by name; the name may be given to no port or to several.
pub(super) fn named<'a>(
    pod: &'a PodEntry,
    name: &'a str,
    transport: Transport,
) -> impl Iterator<Item = u16> + 'a {
    pod.ports
        .iter()
        .filter(move |port| port.name == name && port.protocol == transport)
        .map(|port| port.number)
}
