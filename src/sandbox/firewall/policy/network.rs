//! Reading NetworkPolicies.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{Direction, PeerSelector, Peers, Policy, PolicyRule, Port, Verdict};
use crate::{
    model::Transport,
    sandbox::firewall::{addresses::Addresses, switches::Switches},
};

/// Reads a policy as a CNI with these faults does.
pub(in crate::sandbox::firewall) fn read(policy: &NetworkPolicy, faults: &Switches) -> Policy {
    let namespace = policy.metadata.namespace.clone().unwrap_or_default();
    let name = policy.metadata.name.clone().unwrap_or_default();
    let spec = policy.spec.as_ref();
    let reader = Reader { faults, policy: format!("{namespace}/{name}") };
    let rules: BTreeMap<_, _> = Direction::BOTH
        .into_iter()
        .filter(|direction| isolates(spec, *direction))
        .map(|direction| (direction, reader.rules(spec, direction)))
        .collect();
    // Absent is as empty here, other than in a peer.
    let pods = spec.and_then(|spec| spec.pod_selector.clone()).unwrap_or_default();
    let subject = PeerSelector { namespaces: None, pods: Some(pods) };
    Policy { key: (namespace, name), rank: None, subject, rules }
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
            verdict: Verdict::Accept,
        };
        let own = self.faults.allow_own_namespace.then(|| PolicyRule {
            peers: Some(Peers {
                selectors: vec![PeerSelector { namespaces: None, pods: None }],
                ..Peers::default()
            }),
            ports: None,
            by: "fault allow-own-namespace".to_owned(),
            verdict: Verdict::Accept,
        });
        rules.into_iter().enumerate().map(read).chain(own).collect()
    }

    fn peers(&self, peers: &[NetworkPolicyPeer]) -> Peers {
        let selectors = peers.iter().flat_map(|peer| self.selectors(peer)).collect();
        let blocks = peers.iter().filter_map(|peer| self.block(peer.ip_block.as_ref()?));
        Peers { selectors, blocks: Addresses::union(blocks), ..Peers::default() }
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
