//! Whether a rule matches one connection.

use std::net::IpAddr;

use super::{
    super::{
        cluster_policy::{Action, names_host},
        compile::{Addresses, PeerForm, RuleForm, Scope},
        decision::{Direction, RuleRef},
        doubt::Doubt,
        intern::Selection,
        ports::PortMatch,
    },
    Other, View,
};
use crate::model::{Family, IpProtocol};

/// Whether a rule matches, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    No,
    Yes(RuleRef),
    Maybe(Doubt, RuleRef),
}

impl Hit {
    pub(super) fn place(&self) -> Option<RuleRef> {
        match self {
            Self::No => None,
            Self::Yes(place) | Self::Maybe(_, place) => Some(*place),
        }
    }

    /// The surer of two.
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Yes(_) => self,
            Self::No => other(),
            Self::Maybe(..) => match other() {
                Self::Yes(place) => Self::Yes(place),
                Self::No | Self::Maybe(..) => self,
            },
        }
    }
}

/// Whether an address is in a block.
enum Inside {
    No,
    Yes,
    /// The address isn't known.
    Perhaps,
}

/// Which of a rule's ports matches: nothing, any (`Some(None)`), or one of them.
type Port = Option<Option<u16>>;

impl View<'_> {
    /// A rule of a NetworkPolicy. A pod on its node's network counts as a pod, or else as
    /// its node's address.
    pub(super) fn network_hit(&self, rule: &RuleForm, place: RuleRef, as_pod: bool) -> Hit {
        let port = self.port(rule, as_pod);
        let Some(peers) = &rule.peers else {
            return port.map_or(Hit::No, |port| Hit::Yes(RuleRef { port, ..place }));
        };
        let mut hit = Hit::No;
        for (index, peer) in peers.iter().enumerate() {
            let place = RuleRef { peer: Some(index as u16), ..place };
            hit = hit.or(|| match peer {
                PeerForm::Pods { scope, pods } => match port {
                    Some(port) if self.selects(*scope, pods, as_pod) => {
                        Hit::Yes(RuleRef { port, ..place })
                    }
                    _ => Hit::No,
                },
                PeerForm::Block(block) => self.block(block, rule, place, as_pod),
                // These are of cluster policies alone.
                _ => Hit::No,
            });
        }
        hit
    }

    /// A rule of a cluster policy.
    pub(super) fn cluster_hit(&self, rule: &RuleForm, place: RuleRef) -> Hit {
        if rule.fails_closed {
            // What it means isn't known: it accepts nothing, and else denies everything.
            return if rule.action == Action::Accept { Hit::No } else { Hit::Yes(place) };
        }
        let Some(port) = self.port(rule, true) else { return Hit::No };
        let place = RuleRef { port, ..place };
        let mut hit = Hit::No;
        for (index, peer) in rule.peers.iter().flatten().enumerate() {
            let place = RuleRef { peer: Some(index as u16), ..place };
            hit = hit.or(|| self.cluster_peer(peer, rule.action, place));
        }
        hit
    }

    fn cluster_peer(&self, peer: &PeerForm, action: Action, place: RuleRef) -> Hit {
        match peer {
            PeerForm::Pods { scope, pods } if self.selects(*scope, pods, false) => Hit::Yes(place),
            PeerForm::Networks(networks) => {
                // Two blocks can hold all of what one alone may not.
                let whole = |family| {
                    networks.iter().any(|block| block.family == family && block.is_whole())
                };
                if whole(Family::Ipv4) && whole(Family::Ipv6) {
                    return Hit::Yes(place);
                }
                let mut hit = Hit::No;
                for block in networks {
                    hit = hit.or(|| match self.inside(block) {
                        Inside::No => Hit::No,
                        Inside::Yes => Hit::Yes(place),
                        Inside::Perhaps => Hit::Maybe(self.unknown_address(place), place),
                    });
                }
                hit
            }
            PeerForm::Nodes(nodes) => self.nodes(nodes, place),
            PeerForm::Names(names) => self.names(names, action, place),
            PeerForm::Pods { .. } | PeerForm::Block(_) | PeerForm::Unknown => Hit::No,
        }
    }

    fn selects(&self, scope: Scope, pods: &Selection, host_too: bool) -> bool {
        let Other::Pod(other) = self.other else { return false };
        let Some(other) = self.all.pods.get(other) else { return false };
        (host_too || !other.host)
            && self.all.in_scope(scope, other.space)
            && pods.matches(&other.labels)
    }

    /// Which of a rule's ports matches. A name is resolved on the destination, if it is a
    /// pod (and counts as one).
    fn port(&self, rule: &RuleForm, as_pod: bool) -> Port {
        let Some(ports) = &rule.ports else { return Some(None) };
        let (protocol, number) = (self.traffic.protocol, self.traffic.port);
        if protocol == IpProtocol::Icmp {
            return None;
        }
        let destination = match (self.direction, self.other) {
            (Direction::Ingress, _) => Some(self.pod),
            (Direction::Egress, Other::Pod(other)) if as_pod => Some(other),
            (Direction::Egress, Other::Pod(other)) => {
                Some(other).filter(|other| !self.all.pods[*other].host)
            }
            (Direction::Egress, _) => None,
        };
        let matches = |port: &PortMatch| match port {
            PortMatch::Range(carrier, first, last) => {
                *carrier == protocol && (*first..=*last).contains(&number)
            }
            PortMatch::Named(carrier, name) => {
                carrier.is_none_or(|carrier| carrier == protocol)
                    && destination.is_some_and(|pod| {
                        self.all.topology.pods()[pod].named_port(name, protocol) == Some(number)
                    })
            }
        };
        ports.iter().position(matches).map(|index| Some(index as u16))
    }

    /// The same beside an `ipBlock`, where names have no meaning: a port that surely
    /// matches, and whether a name might.
    fn port_beside_block(&self, rule: &RuleForm) -> (Port, bool) {
        let Some(ports) = &rule.ports else { return (Some(None), false) };
        let (protocol, number) = (self.traffic.protocol, self.traffic.port);
        let sure = ports.iter().position(|port| {
            matches!(port, PortMatch::Range(carrier, first, last)
                if *carrier == protocol && (*first..=*last).contains(&number))
        });
        let named = ports.iter().any(|port| {
            matches!(port, PortMatch::Named(carrier, _)
                if carrier.is_none_or(|carrier| carrier == protocol))
        });
        (sure.map(|index| Some(index as u16)), named && protocol != IpProtocol::Icmp)
    }

    fn block(&self, block: &Addresses, rule: &RuleForm, place: RuleRef, as_pod: bool) -> Hit {
        let (port, named) = self.port_beside_block(rule);
        if port.is_none() && !named || block.is_empty() {
            return Hit::No;
        }
        let place = RuleRef { port: port.flatten(), ..place };
        let translated = |address: &IpAddr| block.contains(*address);
        if self.direction == Direction::Egress
            && let Some(via) = &self.traffic.via
            && (via.addresses.is_empty() || via.addresses.iter().any(translated))
        {
            return Hit::Maybe(Doubt::BlockOnService(place), place);
        }
        let inside = self.inside(block);
        let counts_as_pod = match self.other {
            Other::Pod(other) => as_pod || !self.all.pods[other].host,
            Other::Address(_) | Other::Host(_) => false,
        };
        let through_service = self.direction == Direction::Egress && self.traffic.via.is_some();
        match inside {
            Inside::No => Hit::No,
            _ if counts_as_pod => Hit::Maybe(Doubt::BlockOnPod(place), place),
            _ if through_service => Hit::Maybe(Doubt::BlockOnService(place), place),
            Inside::Perhaps => Hit::Maybe(self.unknown_address(place), place),
            Inside::Yes if port.is_none() => Hit::Maybe(Doubt::NamedPortWithBlock(place), place),
            Inside::Yes => Hit::Yes(place),
        }
    }

    /// Whether the other end's address is in a block.
    fn inside(&self, block: &Addresses) -> Inside {
        let known = match (self.other, self.family) {
            (Other::Address(address), _) => Some(address),
            (Other::Pod(other), Some(family)) => self.all.topology.pods()[other].address(family),
            (Other::Pod(other), None) => {
                let addresses = &self.all.topology.pods()[other].addresses;
                let mut known = addresses.iter().copied();
                match (known.next(), known.next()) {
                    // In whichever family: it is in none of it.
                    (Some(one), Some(other)) if !block.contains(one) && !block.contains(other) => {
                        Some(one)
                    }
                    (Some(one), None) => Some(one),
                    _ => None,
                }
            }
            (Other::Host(_), _) => None,
        };
        match (known, self.family) {
            (Some(address), _) if block.contains(address) => Inside::Yes,
            (Some(_), _) => Inside::No,
            _ if block.is_empty() => Inside::No,
            (None, Some(family)) if family != block.family => Inside::No,
            (None, Some(_)) if block.is_whole() => Inside::Yes,
            (None, _) => Inside::Perhaps,
        }
    }

    fn unknown_address(&self, place: RuleRef) -> Doubt {
        match self.other {
            Other::Host(_) => Doubt::UnknownHost(place),
            Other::Pod(_) | Other::Address(_) => Doubt::UnknownAddress(place),
        }
    }

    fn nodes(&self, nodes: &Selection, place: RuleRef) -> Hit {
        let node = match self.other {
            Other::Host(_) => return Hit::No,
            Other::Address(address) => match self.all.topology.node_of(address) {
                Some(node) => self.all.node_index.get(&node.name).copied(),
                None => return Hit::No,
            },
            Other::Pod(other) => match &self.all.pods[other] {
                pod if !pod.host => return Hit::No,
                pod => pod.node.flatten(),
            },
        };
        match node.and_then(|node| self.all.nodes.get(node as usize)) {
            Some(node) if nodes.matches(&node.labels) => Hit::Yes(place),
            Some(_) => Hit::No,
            None if nodes.is_everything() => Hit::Yes(place),
            None => Hit::Maybe(Doubt::UnknownNode(place), place),
        }
    }

    fn names(&self, names: &[String], action: Action, place: RuleRef) -> Hit {
        if action != Action::Accept {
            return Hit::Maybe(Doubt::DomainNameAction(place), place);
        }
        match self.other {
            Other::Host(host) if names.iter().any(|name| names_host(name, host)) => Hit::Yes(place),
            Other::Host(_) => Hit::No,
            Other::Address(_) => Hit::Maybe(Doubt::DomainName(place), place),
            // Only names inside the cluster lead to pods.
            Other::Pod(_) => {
                let inside = |name: &String| name.trim_end_matches('.').ends_with("cluster.local");
                if names.iter().any(inside) {
                    Hit::Maybe(Doubt::DomainName(place), place)
                } else {
                    Hit::No
                }
            }
        }
    }
}
