//! NetworkPolicies, slow and plain.

use std::net::IpAddr;

use super::{
    super::{
        IpBlock,
        decision::Direction,
        network_policy::{NetworkPolicy, Peer, Rule},
        ports::PortMatch,
        set::Policy,
    },
    One, selects,
};
use crate::model::{End, Family, IpProtocol};

impl One<'_> {
    pub(super) fn network(&self, itself: bool) -> Option<bool> {
        let own = self.pod();
        let isolating: Vec<(&NetworkPolicy, &[Rule])> = self
            .policies
            .policies
            .iter()
            .filter_map(|policy| match policy {
                Policy::Network(policy) => Some(policy),
                Policy::Cluster(_) => None,
            })
            .filter(|policy| policy.namespace == own.namespace)
            .filter(|policy| selects(&policy.pod_selector, &own.labels))
            .filter_map(|policy| {
                let rules = match self.direction {
                    Direction::Ingress => policy.ingress.as_ref(),
                    Direction::Egress => policy.egress.as_ref(),
                };
                Some((policy, rules?.as_slice()))
            })
            .collect();
        if isolating.is_empty() {
            return None;
        }
        let other_is_host = self.other_pod().is_some_and(|pod| pod.host_network);
        let as_pods = !(own.host_network || other_is_host) || self.choices.choose("as pods".into());
        if own.host_network && !as_pods {
            return None;
        }
        if !as_pods && self.direction == Direction::Ingress && self.on_own_node("ingress") {
            return Some(true);
        }
        for (policy, rules) in isolating {
            for (index, rule) in rules.iter().enumerate() {
                let key = format!("{} {index}", policy.name);
                if self.rule_matches(policy, rule, as_pods, &key) {
                    return Some(true);
                }
            }
        }
        if self.traffic.protocol == IpProtocol::Icmp && self.choices.choose("icmp".into()) {
            return None;
        }
        if itself && self.choices.choose("hairpin".into()) {
            return Some(true);
        }
        let to_own_node = match self.other {
            End::Address(address) => self.is_own_node(*address),
            End::Pod(_) => {
                self.direction == Direction::Egress && other_is_host && self.on_own_node("egress")
            }
            End::Host(_) => false,
        };
        Some(to_own_node && self.choices.choose("own node is exempt".into()))
    }

    pub(super) fn on_own_node(&self, key: &str) -> bool {
        match (&self.pod().node, self.other_pod().and_then(|pod| pod.node.as_ref())) {
            (Some(own), Some(other)) => own == other,
            _ => self.choices.choose(format!("same node {key}")),
        }
    }

    fn rule_matches(&self, policy: &NetworkPolicy, rule: &Rule, as_pods: bool, key: &str) -> bool {
        let Some(peers) = &rule.peers else {
            return self.ports_match(rule.ports.as_deref(), as_pods);
        };
        peers.iter().enumerate().any(|(at, peer)| match peer {
            Peer::Pods { namespaces, pods } => {
                let Some(other) = self.other_pod() else { return false };
                if other.host_network && !as_pods {
                    return false;
                }
                let in_namespace = match namespaces {
                    None => other.namespace == policy.namespace,
                    Some(selector) => selects(selector, self.labels_of(&other.namespace)),
                };
                let is_pod = pods.as_ref().is_none_or(|pods| selects(pods, &other.labels));
                in_namespace && is_pod && self.ports_match(rule.ports.as_deref(), as_pods)
            }
            Peer::Block(block) => {
                let numbers: Vec<PortMatch> = rule
                    .ports
                    .iter()
                    .flatten()
                    .filter(|port| matches!(port, PortMatch::Range(..)))
                    .cloned()
                    .collect();
                let named = rule.ports.iter().flatten().any(|port| {
                    matches!(port, PortMatch::Named(protocol, _) if *protocol == Some(self.traffic.protocol))
                });
                let by_number = rule.ports.is_none() || self.ports_match(Some(&numbers), as_pods);
                if !by_number && !named {
                    return false;
                }
                let inside = match self.other_address() {
                    Some(address) => block.contains(address),
                    None => self.may_hold(block),
                };
                let service = self.direction == Direction::Egress && self.traffic.via.is_some();
                let by_service = service && self.traffic.via.iter().any(|via| {
                    let holds = |address: &IpAddr| block.contains(*address);
                    !may_be_empty(block)
                        && (via.addresses.is_empty() || via.addresses.iter().any(holds))
                });
                if !inside && !by_service {
                    return false;
                }
                let is_pod =
                    self.other_pod().is_some_and(|other| !other.host_network || as_pods);
                let known = match self.other_address() {
                    Some(_) => true,
                    None => {
                        block.except.is_empty()
                            && block.cidr.prefix_len() == 0
                            && self.traffic.family == Some(Family::of(block.cidr.addr()))
                    }
                };
                let sure = by_number && inside && known && !is_pod && !service;
                sure || self.choices.choose(format!("block {key} {at}"))
            }
        })
    }

    /// Whether a block can hold an address that isn't known.
    fn may_hold(&self, block: &IpBlock) -> bool {
        let family = Family::of(block.cidr.addr());
        if may_be_empty(block) || self.traffic.family.is_some_and(|wanted| wanted != family) {
            return false;
        }
        match (self.other_pod(), self.traffic.family) {
            // In no family at all.
            (Some(pod), None) if !pod.addresses.is_empty() => {
                pod.addresses.iter().any(|address| block.contains(*address))
            }
            _ => true,
        }
    }

    pub(super) fn ports_match(&self, ports: Option<&[PortMatch]>, as_pods: bool) -> bool {
        let Some(ports) = ports else { return true };
        let destination = match self.direction {
            Direction::Ingress => Some(self.pod()),
            Direction::Egress => self.other_pod().filter(|pod| !pod.host_network || as_pods),
        };
        ports.iter().any(|port| match port {
            PortMatch::Range(protocol, first, last) => {
                self.traffic.protocol == *protocol
                    && self.traffic.port >= *first
                    && self.traffic.port <= *last
            }
            PortMatch::Named(protocol, name) => {
                let wanted = protocol.unwrap_or(self.traffic.protocol);
                wanted == self.traffic.protocol
                    && destination.is_some_and(|pod| {
                        let named = pod.ports.iter().find(|port| {
                            port.protocol == wanted && port.name.as_deref() == Some(name.as_str())
                        });
                        named.is_some_and(|port| port.number == self.traffic.port)
                    })
            }
        })
    }
}

/// True where the exceptions take all of a block away: tried address by address at the
/// edges of its parts, where it would have to begin again.
fn may_be_empty(block: &IpBlock) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let address = |number: u128| match block.cidr.addr() {
        IpAddr::V4(_) => {
            u32::try_from(number).ok().map(|bits| IpAddr::from(std::net::Ipv4Addr::from_bits(bits)))
        }
        IpAddr::V6(_) => Some(IpAddr::from(std::net::Ipv6Addr::from_bits(number))),
    };
    let after = |part: &ipnet::IpNet| number(part.broadcast()).checked_add(1).and_then(address);
    let mut edges = block.except.iter().filter_map(after).chain([block.cidr.network()]);
    !edges.any(|edge| block.contains(edge))
}
