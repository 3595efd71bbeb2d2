//! NetworkPolicies, read once: what they select, and what their rules ask for.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    addresses::Addresses, ruleset::PortRange, selector::selects, snapshot::PodEntry,
    switches::Switches,
};
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

/// Namespace and name.
pub(in crate::sandbox) type PolicyKey = (String, String);

/// A policy, as far as rules are made of it.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub key: PolicyKey,
    subject: LabelSelector,
    /// The rules of each direction in which it isolates.
    rules: BTreeMap<Direction, Vec<PolicyRule>>,
}

/// Something that a policy allows: these peers by these ports.
#[derive(Clone, Debug)]
pub(super) struct PolicyRule {
    /// None for whoever it is.
    pub peers: Option<Peers>,
    /// None for every port of every protocol.
    pub ports: Option<Vec<Port>>,
    /// The policy and the rule's number: `shop/db ingress[0]`.
    pub by: String,
}

/// The other ends of a rule; one that fits is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    pub selectors: Vec<PeerSelector>,
    pub blocks: Addresses,
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
    /// Reads a policy as a CNI with these faults does.
    pub(super) fn read(policy: &NetworkPolicy, faults: &Switches) -> Self {
        let namespace = policy.metadata.namespace.clone().unwrap_or_default();
        let name = policy.metadata.name.clone().unwrap_or_default();
        let spec = policy.spec.as_ref();
        let reader = Reader { faults, policy: format!("{namespace}/{name}") };
        let rules = Direction::BOTH
            .into_iter()
            .filter(|direction| isolates(spec, *direction))
            .map(|direction| (direction, reader.rules(spec, direction)))
            .collect();
        // Absent is as empty here, other than in a peer.
        let subject = spec.and_then(|spec| spec.pod_selector.clone()).unwrap_or_default();
        Self { key: (namespace, name), subject, rules }
    }

    /// Its rules in a direction; none where it doesn't isolate.
    pub(super) fn rules(&self, direction: Direction) -> Option<&[PolicyRule]> {
        self.rules.get(&direction).map(Vec::as_slice)
    }

    /// Whether it is about a pod.
    pub(super) fn selects(&self, pod: &PodEntry) -> bool {
        self.key.0 == pod.namespace && selects(&self.subject, &pod.labels)
    }
}

/// `policyTypes` decides; without it, Ingress always and Egress if there are such rules.
fn isolates(spec: Option<&NetworkPolicySpec>, direction: Direction) -> bool {
    let types = spec.and_then(|spec| spec.policy_types.as_deref()).unwrap_or_default();
    if types.is_empty() {
        let has_egress =
            spec.and_then(|spec| spec.egress.as_deref()).is_some_and(|rules| !rules.is_empty());
        return direction == Direction::Ingress || has_egress;
    }
    types.iter().any(|name| name == direction.policy_type())
}

impl PolicyRule {
    /// Whether selectors of the rule choose a pod.
    pub(super) fn chooses(
        &self,
        own: &str,
        pod: &PodEntry,
        namespaces: &BTreeMap<String, Labels>,
    ) -> bool {
        let peers = self.peers.iter().flat_map(|peers| &peers.selectors);
        peers.into_iter().any(|peer| peer.chooses(own, pod, namespaces))
    }

    /// Whether any of its peers is chosen by selectors.
    pub(super) fn has_selectors(&self) -> bool {
        self.peers.as_ref().is_some_and(|peers| !peers.selectors.is_empty())
    }

    /// Whether it depends on the labels of namespaces.
    pub(super) fn asks_for_namespaces(&self) -> bool {
        let mut selectors = self.peers.iter().flat_map(|peers| &peers.selectors);
        selectors.any(|peer| peer.namespaces.is_some())
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

/// Reads the rules of one policy.
struct Reader<'a> {
    faults: &'a Switches,
    policy: String,
}

impl Reader<'_> {
    fn rules(&self, spec: Option<&NetworkPolicySpec>, direction: Direction) -> Vec<PolicyRule> {
        let Some(spec) = spec else { return Vec::new() };
        // (peers, ports) of each rule, whichever way it goes.
        let rules: Vec<_> = match direction {
            Direction::Ingress => spec
                .ingress
                .iter()
                .flatten()
                .map(|rule| (rule.from.as_deref(), rule.ports.as_deref()))
                .collect(),
            Direction::Egress => spec
                .egress
                .iter()
                .flatten()
                .map(|rule| (rule.to.as_deref(), rule.ports.as_deref()))
                .collect(),
        };
        let read = |(index, (peers, ports)): (usize, (Option<&[_]>, Option<&[_]>))| PolicyRule {
            // Absent and empty lists alike ask for nothing.
            peers: peers.filter(|peers| !peers.is_empty()).map(|peers| self.peers(peers)),
            ports: ports
                .filter(|ports| !ports.is_empty())
                .map(|ports| ports.iter().filter_map(|port| self.port(port)).collect()),
            by: format!("{} {}[{index}]", self.policy, direction.field()),
        };
        let own = self.faults.allow_own_namespace.then(|| PolicyRule {
            peers: Some(Peers {
                selectors: vec![PeerSelector { namespaces: None, pods: None }],
                blocks: Addresses::default(),
            }),
            ports: None,
            by: "fault allow-own-namespace".to_owned(),
        });
        rules.into_iter().enumerate().map(read).chain(own).collect()
    }

    fn peers(&self, peers: &[NetworkPolicyPeer]) -> Peers {
        let selectors = peers.iter().flat_map(|peer| self.selectors(peer)).collect();
        let blocks = peers.iter().filter_map(|peer| self.block(peer.ip_block.as_ref()?));
        Peers { selectors, blocks: Addresses::union(blocks) }
    }

    fn selectors(&self, peer: &NetworkPolicyPeer) -> Vec<PeerSelector> {
        let both = (peer.namespace_selector.clone(), peer.pod_selector.clone());
        match (&peer.ip_block, both) {
            // The API refuses a peer that says nothing.
            (Some(_), _) | (None, (None, None)) => Vec::new(),
            (None, (Some(_), pods)) if self.faults.ignore_namespace_selector => {
                vec![PeerSelector { namespaces: Some(LabelSelector::default()), pods }]
            }
            (None, (Some(namespaces), Some(pods))) if self.faults.or_selectors => vec![
                PeerSelector { namespaces: Some(namespaces), pods: None },
                PeerSelector { namespaces: None, pods: Some(pods) },
            ],
            (None, (namespaces, pods)) => vec![PeerSelector { namespaces, pods }],
        }
    }

    /// The addresses of a block; none if, against the API's checks, it can't be read. An
    /// exception that can't be read must not widen the block.
    fn block(&self, block: &IPBlock) -> Option<Addresses> {
        let cidr: IpNet = block.cidr.parse().ok()?;
        if self.faults.ignore_except {
            return Some(Addresses::block(cidr, &[]));
        }
        let except: Result<Vec<IpNet>, _> =
            block.except.iter().flatten().map(|except| except.parse()).collect();
        Some(Addresses::block(cidr, &except.ok()?))
    }

    fn port(&self, entry: &NetworkPolicyPort) -> Option<Port> {
        let transport = match entry.protocol.as_deref() {
            None | Some("TCP") => Transport::Tcp,
            Some("UDP") => Transport::Udp,
            // No packet of another protocol is told apart, so none is let through.
            Some(_) => return None,
        };
        match &entry.port {
            None => Some(Port::All(transport)),
            Some(IntOrString::Int(first)) => {
                let last = entry.end_port.filter(|_| !self.faults.ignore_end_port);
                let first = u16::try_from(*first).ok()?;
                let last = last.map_or(Ok(first), u16::try_from).ok()?;
                (first <= last).then(|| Port::Range(transport, (first..=last).into()))
            }
            Some(IntOrString::String(_)) if self.faults.ignore_named_ports => None,
            Some(IntOrString::String(name)) => Some(Port::Named(transport, name.clone())),
        }
    }
}
