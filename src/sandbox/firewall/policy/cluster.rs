//! ClusterNetworkPolicies: what the API has of them, and reading it.

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

use super::{Direction, PeerSelector, Peers, Policy, PolicyRule, Port, Tier, Verdict};
use crate::{model::Transport, sandbox::firewall::addresses::Addresses};

/// A ClusterNetworkPolicy of `policy.networking.k8s.io`, `v1alpha2` and `v1beta1` alike, as far
/// as a CNI reads it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClusterNetworkPolicy {
    /// Of it only the name.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: Spec,
}

impl ClusterNetworkPolicy {
    /// The same with only what it denies.
    pub(in crate::sandbox) fn denials(&self) -> Self {
        let mut policy = self.clone();
        for rules in [&mut policy.spec.ingress, &mut policy.spec.egress] {
            rules.iter_mut().for_each(|rules| rules.retain(|rule| rule.action == "Deny"));
        }
        policy
    }
}

/// What a ClusterNetworkPolicy says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Spec {
    /// `Admin` or `Baseline`.
    tier: String,
    /// 0 to 1000, lower first.
    priority: i64,
    subject: Pods,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

/// A subject; and of a peer what is about pods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Pods {
    namespaces: Option<LabelSelector>,
    pods: Option<NamespacedPod>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamespacedPod {
    #[serde(default)]
    namespace_selector: Option<LabelSelector>,
    #[serde(default)]
    pod_selector: Option<LabelSelector>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Rule {
    name: Option<String>,
    action: String,
    #[serde(default, alias = "from", alias = "to")]
    peers: Vec<Peer>,
    protocols: Option<Vec<Protocol>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    #[serde(flatten)]
    pods: Pods,
    nodes: Option<LabelSelector>,
    networks: Option<Vec<String>>,
    domain_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protocol {
    tcp: Option<Carrier>,
    udp: Option<Carrier>,
    destination_named_port: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Carrier {
    destination_port: Option<Number>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Number {
    number: Option<u16>,
    range: Option<Range>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Range {
    start: u16,
    end: u16,
}

/// Reads a policy.
pub(in crate::sandbox::firewall) fn read(policy: &ClusterNetworkPolicy) -> Policy {
    let ClusterNetworkPolicy { metadata, spec } = policy;
    let name = metadata.name.clone().unwrap_or_default();
    let tier = if spec.tier == "Baseline" { Tier::Baseline } else { Tier::Admin };
    let rules = Direction::BOTH.into_iter().filter_map(|direction| {
        let rules = match direction {
            Direction::Egress => spec.egress.as_deref(),
            Direction::Ingress => spec.ingress.as_deref(),
        };
        // Without rules it has no say there: it isolates nobody by itself.
        let rules = rules.filter(|rules| !rules.is_empty())?;
        let read = |(index, rule)| read_rule(&name, direction, index, rule);
        Some((direction, rules.iter().enumerate().map(read).collect()))
    });
    Policy {
        rules: rules.collect(),
        rank: Some((tier, u16::try_from(spec.priority).unwrap_or(u16::MAX))),
        // The API refuses a subject that says nothing.
        subject: selector(&spec.subject).unwrap_or(NOBODY),
        key: (String::new(), name),
    }
}

/// There is no namespace without a name.
const NOBODY: PeerSelector = PeerSelector { namespaces: None, pods: None };

fn selector(pods: &Pods) -> Option<PeerSelector> {
    match pods {
        Pods { namespaces: Some(namespaces), .. } => {
            Some(PeerSelector { namespaces: Some(namespaces.clone()), pods: None })
        }
        Pods { pods: Some(pods), .. } => Some(PeerSelector {
            // Left out it is every namespace: no policy of the cluster has one of its own.
            namespaces: Some(pods.namespace_selector.clone().unwrap_or_default()),
            pods: pods.pod_selector.clone(),
        }),
        Pods { namespaces: None, pods: None } => None,
    }
}

fn read_rule(policy: &str, direction: Direction, index: usize, rule: &Rule) -> PolicyRule {
    let verdict = match rule.action.as_str() {
        "Accept" => Verdict::Accept,
        "Pass" => Verdict::Pass,
        _ => Verdict::Deny,
    };
    let by = match &rule.name {
        Some(name) if !name.is_empty() => {
            format!("ClusterNetworkPolicy {policy} {}[{index}] {}", direction.field(), plain(name))
        }
        _ => format!("ClusterNetworkPolicy {policy} {}[{index}]", direction.field()),
    };
    if rule.peers.iter().any(Peer::is_unknown) {
        // What it means isn't known. It fails closed: it accepts nothing, or denies all.
        return match verdict {
            Verdict::Accept => {
                PolicyRule { peers: Some(Peers::default()), ports: None, by, verdict }
            }
            Verdict::Deny | Verdict::Pass => {
                PolicyRule { peers: None, ports: None, by, verdict: Verdict::Deny }
            }
        };
    }
    let ports = rule.protocols.as_ref().filter(|protocols| !protocols.is_empty());
    let ports = ports.map(|protocols| protocols.iter().flat_map(read_protocol).collect());
    PolicyRule { peers: Some(read_peers(&rule.peers)), ports, by, verdict }
}

/// A rule's name may hold anything; where rules are printed it stands in quotation marks.
fn plain(name: &str) -> String {
    name.chars()
        .map(|one| if one.is_control() || "\"\\".contains(one) { '?' } else { one })
        .collect()
}

impl Peer {
    /// Whether it is of a kind that came later: the API has dropped what it says.
    fn is_unknown(&self) -> bool {
        let Self { pods, nodes, networks, domain_names } = self;
        selector(pods).is_none() && nodes.is_none() && networks.is_none() && domain_names.is_none()
    }
}

fn read_peers(peers: &[Peer]) -> Peers {
    // The API's check takes host bits; they mean nothing.
    let blocks = peers.iter().flat_map(|peer| peer.networks.iter().flatten());
    let blocks = blocks.filter_map(|text| text.parse::<IpNet>().ok());
    let names = peers.iter().flat_map(|peer| peer.domain_names.iter().flatten());
    Peers {
        selectors: peers.iter().filter_map(|peer| selector(&peer.pods)).collect(),
        blocks: Addresses::union(blocks.map(|block| Addresses::block(block, &[]))),
        nodes: peers.iter().filter_map(|peer| peer.nodes.clone()).collect(),
        names: names.map(|name| name.trim_end_matches('.').to_lowercase()).collect(),
    }
}

/// The ports of an entry. A name stands for a port of either transport.
fn read_protocol(entry: &Protocol) -> Vec<Port> {
    if let Some(name) = &entry.destination_named_port {
        let named = |transport| Port::Named(transport, name.clone());
        return [Transport::Tcp, Transport::Udp].map(named).into();
    }
    let carriers = [(Transport::Tcp, &entry.tcp), (Transport::Udp, &entry.udp)];
    let carrier = carriers
        .into_iter()
        .find_map(|(transport, found)| found.as_ref().map(|carrier| (transport, carrier)));
    // Of another protocol no packet is told apart.
    let Some((transport, carrier)) = carrier else { return Vec::new() };
    let port = match &carrier.destination_port {
        None => Port::All(transport),
        Some(Number { number: Some(number), .. }) => {
            Port::Range(transport, (*number..=*number).into())
        }
        Some(Number { range: Some(range), .. }) => {
            Port::Range(transport, (range.start..=range.end).into())
        }
        Some(Number { number: None, range: None }) => return Vec::new(),
    };
    vec![port]
}
