//! What the policies say about one pod and direction, as rules by address and port.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    addresses::Addresses,
    ruleset::PortRange,
    selector::selects,
    snapshot::{PodEntry, Snapshot},
};
use crate::model::{Labels, Transport};

/// Which way a connection goes, seen from the pod that the policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
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

/// Something that policies allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Which other ends.
    pub peers: Peers,
    /// Which ports.
    pub ports: Ports,
    /// The rule that says so.
    pub by: String,
}

/// The other ends of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// Whoever it is.
    Any,
    /// These addresses.
    Among(Addresses),
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// Every port of every protocol.
    Any,
    /// Every port of a transport.
    All(Transport),
    /// These ports of a transport.
    Range(Transport, PortRange),
    /// On each destination its own, which stand for the peers, too.
    Sockets(Transport, BTreeSet<(IpAddr, u16)>),
}

/// The policies that isolate a pod in a direction, in order of their names.
pub(super) fn isolating<'a>(
    snapshot: &'a Snapshot,
    pod: &PodEntry,
    direction: Direction,
) -> Vec<&'a NetworkPolicy> {
    let mut policies: Vec<_> = snapshot
        .policies
        .iter()
        .filter(|policy| policy.metadata.namespace.as_deref() == Some(&pod.namespace))
        .filter(|policy| applies(policy.spec.as_ref(), direction))
        .filter(|policy| {
            // Absent is as empty here, other than in a peer.
            let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
            selector.is_none_or(|selector| selects(selector, &pod.labels))
        })
        .collect();
    policies.sort_by_key(|policy| policy.metadata.name.as_deref());
    policies
}

/// `policyTypes` decides; without it, Ingress always and Egress if there are such rules.
fn applies(spec: Option<&NetworkPolicySpec>, direction: Direction) -> bool {
    let types = spec.and_then(|spec| spec.policy_types.as_deref()).unwrap_or_default();
    if types.is_empty() {
        let has_egress =
            spec.and_then(|spec| spec.egress.as_deref()).is_some_and(|rules| !rules.is_empty());
        return direction == Direction::Ingress || has_egress;
    }
    types.iter().any(|name| name == direction.policy_type())
}

/// How a policy is called in comments.
pub(super) fn name(policy: &NetworkPolicy) -> String {
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", policy.metadata.name.as_deref().unwrap_or_default())
}

/// Everything that a policy allows to or from a pod that it isolates.
pub(super) fn allowed(
    snapshot: &Snapshot,
    policy: &NetworkPolicy,
    pod: &PodEntry,
    direction: Direction,
) -> Vec<Allowed> {
    let Some(spec) = &policy.spec else { return Vec::new() };
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
    let mut found = Vec::new();
    for (index, (peers, ports)) in rules.into_iter().enumerate() {
        let by = format!("{} {}[{index}]", name(policy), direction.field());
        let scope = Scope { snapshot, namespace: &pod.namespace, pod, direction };
        // Absent and empty lists alike ask for nothing.
        let peers = peers.filter(|peers| !peers.is_empty());
        match ports.filter(|ports| !ports.is_empty()) {
            None => {
                found.push(Allowed { peers: scope.addresses(peers), ports: Ports::Any, by });
            }
            Some(ports) => {
                for port in ports {
                    for ports in scope.ports(port, peers) {
                        let peers = match ports {
                            Ports::Sockets(..) => Peers::Any,
                            _ => scope.addresses(peers),
                        };
                        found.push(Allowed { peers, ports, by: by.clone() });
                    }
                }
            }
        }
    }
    found.retain(|allowed| match (&allowed.peers, &allowed.ports) {
        (Peers::Among(addresses), _) if addresses.is_empty() => false,
        (_, Ports::Sockets(_, sockets)) => !sockets.is_empty(),
        _ => true,
    });
    found
}

/// Where a rule is read.
struct Scope<'a> {
    snapshot: &'a Snapshot,
    /// The policy's.
    namespace: &'a str,
    /// The pod that is isolated.
    pod: &'a PodEntry,
    direction: Direction,
}

impl Scope<'_> {
    /// The addresses of a rule's peers.
    fn addresses(&self, peers: Option<&[NetworkPolicyPeer]>) -> Peers {
        let Some(peers) = peers else { return Peers::Any };
        let selected = self.selected(peers).flat_map(|pod| pod.addresses.iter().copied()).collect();
        let blocks = peers.iter().filter_map(|peer| block(peer.ip_block.as_ref()?));
        Peers::Among(Addresses::union(blocks.chain([selected])))
    }

    /// The pods that selectors of a rule's peers choose.
    fn selected(&self, peers: &[NetworkPolicyPeer]) -> impl Iterator<Item = &PodEntry> {
        self.snapshot.pods.iter().filter(|pod| peers.iter().any(|peer| self.chooses(peer, pod)))
    }

    fn chooses(&self, peer: &NetworkPolicyPeer, pod: &PodEntry) -> bool {
        if peer.ip_block.is_some() {
            return false;
        }
        let none = Labels::new();
        let in_namespace = match (&peer.namespace_selector, &peer.pod_selector) {
            // The API refuses a peer that says nothing.
            (None, None) => return false,
            (Some(selector), _) => {
                selects(selector, self.snapshot.namespaces.get(&pod.namespace).unwrap_or(&none))
            }
            (None, Some(_)) => pod.namespace == self.namespace,
        };
        in_namespace
            && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
    }

    /// What a port entry stands for, seen from the destination.
    fn ports(&self, entry: &NetworkPolicyPort, peers: Option<&[NetworkPolicyPeer]>) -> Vec<Ports> {
        let transport = match entry.protocol.as_deref() {
            None | Some("TCP") => Transport::Tcp,
            Some("UDP") => Transport::Udp,
            // No packet of another protocol is told apart, so none is let through.
            Some(_) => return Vec::new(),
        };
        match (&entry.port, self.direction) {
            (None, _) => vec![Ports::All(transport)],
            (Some(IntOrString::Int(first)), _) => {
                let last = entry.end_port.unwrap_or(*first);
                match (u16::try_from(*first), u16::try_from(last)) {
                    (Ok(first), Ok(last)) if first <= last => {
                        vec![Ports::Range(transport, (first..=last).into())]
                    }
                    _ => Vec::new(),
                }
            }
            (Some(IntOrString::String(name)), Direction::Ingress) => {
                named(self.pod, name, transport)
                    .map(|port| Ports::Range(transport, (port..=port).into()))
                    .collect()
            }
            (Some(IntOrString::String(name)), Direction::Egress) => {
                let sockets = self
                    .snapshot
                    .pods
                    .iter()
                    .flat_map(|pod| pod.addresses.iter().map(move |&address| (pod, address)))
                    .filter(|(pod, address)| {
                        peers.is_none_or(|peers| self.reaches(peers, pod, *address))
                    })
                    .flat_map(|(pod, address)| {
                        named(pod, name, transport).map(move |port| (address, port))
                    })
                    .collect();
                vec![Ports::Sockets(transport, sockets)]
            }
        }
    }

    /// Whether a pod is among a rule's peers, by a selector or by a block. That a block
    /// takes the named ports of the pods inside is this CNI's choice; the API leaves it open.
    fn reaches(&self, peers: &[NetworkPolicyPeer], pod: &PodEntry, address: IpAddr) -> bool {
        peers.iter().any(|peer| {
            self.chooses(peer, pod)
                || peer
                    .ip_block
                    .as_ref()
                    .and_then(block)
                    .is_some_and(|addresses| addresses.contains(address))
        })
    }
}

/// The numbers of a pod's port by name; the name may be given to no port or to several.
fn named(pod: &PodEntry, name: &str, transport: Transport) -> impl Iterator<Item = u16> {
    pod.ports
        .iter()
        .filter(move |port| port.name == name && port.protocol == transport)
        .map(|port| port.number)
}

/// The addresses of a block; none if, against the API's checks, it can't be
/// read. An exception that can't be read must not widen the block.
fn block(block: &IPBlock) -> Option<Addresses> {
    let cidr: IpNet = block.cidr.parse().ok()?;
    let except: Result<Vec<IpNet>, _> =
        block.except.iter().flatten().map(|except| except.parse()).collect();
    Some(Addresses::block(cidr, &except.ok()?))
}
