//! Services: the first packet to one of their addresses is sent on to an endpoint.
//!
//! ```text
//!   services: address, transport, port ──▶ service/NS/NAME/TCP/80   one of its endpoints
//!                                      └─▶ outside/NS/NAME/TCP/80   from beyond the cluster
//! ```
//!
//! One map leads from all addresses to chains, so that a connection costs the same with one
//! Service and with a thousand. What comes from outside seems to come from this node, or
//! the reply would not pass by here; with `externalTrafficPolicy: Local` it stays here and
//! needs not. As kube-proxy has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    addresses::{Addresses, Family},
    ruleset::{Action, Chain, Elements, Jump, Match, Rule, Set},
    snapshot::{EndpointEntry, ServiceEntry, ServicePortEntry, Snapshot},
};
use crate::model::Transport;

/// Where a connection to a Service is meant to go.
type Socket = (IpAddr, Transport, u16);

/// The sets and chains of one node, and the rules for the filters.
#[derive(Default)]
pub(super) struct Translation {
    pub sets: Vec<Set>,
    /// A chain stands behind all that it jumps to.
    pub chains: Vec<Chain>,
    /// Refuses what is still meant for a Service after translation: it has no such port, or
    /// no endpoint for it. Belongs in the forward and the output filter.
    pub refusals: Vec<Rule>,
}

/// The set of endpoints, each as a pair with itself, of a family.
pub(super) const HAIRPINS: &str = "hairpins";
/// The set of the node's own addresses, of a family.
pub(super) const OWN_ADDRESSES: &str = "own-addresses";
const DROP: &str = "no-local-endpoint";
const REFUSE: &str = "refuse";

/// The translation of one node. Pods keep their addresses within the cluster, unless all that
/// leaves the node is to be `masqueraded`.
pub(super) fn translation(snapshot: &Snapshot, node: &str, masqueraded: bool) -> Translation {
    let own = snapshot.nodes.get(node);
    let mut builder = Builder {
        node,
        own: own.map(|node| node.addresses.clone()).unwrap_or_default(),
        made: Translation::default(),
        jumps: BTreeMap::new(),
        refused: BTreeMap::new(),
        whole: BTreeSet::new(),
        hairpins: BTreeSet::new(),
        drops: false,
        masqueraded,
        insiders: snapshot
            .nodes
            .values()
            .flat_map(|node| &node.pod_cidrs)
            .map(|range| Addresses::block(*range, &[]))
            .collect(),
    };
    for service in &snapshot.services {
        builder.service(service);
    }
    for port in snapshot.host_ports.iter().filter(|port| port.node == node) {
        builder.host_port(port);
    }
    let pod_ranges = own.map(|node| node.pod_cidrs.clone()).unwrap_or_default();
    let block = |range: &ipnet::IpNet| Addresses::block(*range, &[]);
    builder.finish(
        Addresses::union(snapshot.ranges.iter().map(block)),
        Addresses::union(pod_ranges.iter().map(block)),
    )
}

struct Builder<'a> {
    node: &'a str,
    /// The node's own addresses.
    own: Vec<IpAddr>,
    made: Translation,
    jumps: BTreeMap<Socket, Jump>,
    /// Sockets of addresses that need not be a Service's alone.
    refused: BTreeMap<Socket, Jump>,
    /// Addresses that belong to Services with all their ports.
    whole: BTreeSet<IpAddr>,
    hairpins: BTreeSet<(IpAddr, IpAddr)>,
    drops: bool,
    masqueraded: bool,
    /// The ranges of all pods.
    insiders: Vec<Addresses>,
}

impl Builder<'_> {
    fn service(&mut self, service: &ServiceEntry) {
        self.whole.extend(service.cluster_ips.iter().chain(&service.balancer_ips));
        for port in &service.ports {
            for family in Family::BOTH {
                self.port(service, port, family);
            }
        }
    }

    fn port(&mut self, service: &ServiceEntry, port: &ServicePortEntry, family: Family) {
        let of_family = |address: &&IpAddr| Family::of(**address) == family;
        let cluster: Vec<_> = service.cluster_ips.iter().filter(of_family).copied().collect();
        let balancers = service.balancer_ips.iter().filter(of_family).copied();
        let nodes = self.own.iter().filter(of_family).map(|&own| Some((own, port.node_port?)));
        // A node port belongs to the families that the Service has.
        let nodes = nodes.flatten().filter(|_| !cluster.is_empty());
        let outside: Vec<Socket> = service
            .external_ips
            .iter()
            .filter(of_family)
            .map(|&address| (address, port.port))
            .chain(nodes)
            .map(|(address, number)| (address, port.protocol, number))
            .collect();
        let balanced: Vec<Socket> =
            balancers.map(|address| (address, port.protocol, port.port)).collect();
        if cluster.is_empty() && outside.is_empty() && balanced.is_empty() {
            return;
        }
        let because = format!("service {}/{}", service.namespace, service.name);
        let all: Vec<_> =
            port.endpoints.iter().filter(|one| Family::of(one.address) == family).collect();
        if all.is_empty() {
            for socket in outside {
                let comment = because.clone();
                self.refused.insert(socket, Jump { chain: REFUSE.to_owned(), comment });
            }
            return;
        }
        let name = |kind: &str| {
            let family = if family == Family::V6 { "/6" } else { "" };
            let transport = match port.protocol {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            };
            let ServiceEntry { namespace, name, .. } = service;
            format!("{kind}/{namespace}/{name}/{transport}/{}{family}", port.port)
        };
        let everywhere = usable(all.iter().copied());
        self.hairpins.extend(everywhere.iter().map(|one| (one.address, one.address)));
        let here = usable(all.into_iter().filter(|one| one.node == self.node));
        let led = self.endpoints(&name("service"), &everywhere, service, family);
        let local = (service.internal_local || service.external_local).then(|| {
            if here.is_empty() {
                self.drops = true;
                DROP.to_owned()
            } else {
                self.endpoints(&name("local"), &here, service, family)
            }
        });
        let inner = local.clone().filter(|_| service.internal_local).unwrap_or(led.clone());
        for address in cluster {
            let jump = Jump { chain: inner.clone(), comment: because.clone() };
            self.jumps.insert((address, port.protocol, port.port), jump);
        }
        if outside.is_empty() && balanced.is_empty() {
            return;
        }
        let chain = name("outside");
        let rules = self.outside(family, &led, local.filter(|_| service.external_local));
        let rules = rules.into_iter().map(|rule| rule.because(because.clone())).collect();
        self.made.chains.push(Chain { name: chain.clone(), base: None, rules });
        for socket in outside {
            let jump = Jump { chain: chain.clone(), comment: because.clone() };
            self.jumps.insert(socket, jump);
        }
        let gate = self.gate(&name("balancer"), service, family, chain);
        for socket in balanced {
            let jump = Jump { chain: gate.clone(), comment: because.clone() };
            self.jumps.insert(socket, jump);
        }
    }

    /// What becomes of a connection from beyond the cluster.
    fn outside(&self, family: Family, led: &str, local: Option<String>) -> Vec<Rule> {
        let Some(local) = local else {
            return vec![
                Rule::new([], Action::MarkForMasquerade),
                Rule::new([], Action::Jump(led.to_owned())),
            ];
        };
        // Pods and this node's own processes may use the address as well; they are not
        // bound to this node's endpoints.
        let mut rules = Vec::new();
        if self.insiders.iter().any(|range| !range.of(family).is_empty()) {
            let pods = Match::SourceIn(family, named("pod-ranges", family));
            rules.push(Rule::new([pods], Action::Jump(led.to_owned())));
        }
        if self.own.iter().any(|own| Family::of(*own) == family) {
            let node = Match::SourceIn(family, named(OWN_ADDRESSES, family));
            rules.push(Rule::new([node.clone()], Action::MarkForMasquerade));
            rules.push(Rule::new([node], Action::Jump(led.to_owned())));
        }
        rules.push(Rule::new([], Action::Jump(local)));
        rules
    }

    /// Lets only some sources use a balancer's address.
    fn gate(
        &mut self,
        name: &str,
        service: &ServiceEntry,
        family: Family,
        behind: String,
    ) -> String {
        if service.balancer_sources.is_empty() || service.balancer_ips.is_empty() {
            return behind;
        }
        let ranges = service.balancer_sources.iter().map(|range| Addresses::block(*range, &[]));
        let ranges = Addresses::union(ranges).of(family);
        let mut rules = Vec::new();
        if !ranges.is_empty() {
            let set = format!("sources/{name}");
            let elements = Elements::Addresses(ranges);
            self.made.sets.push(Set { name: set.clone(), family, elements });
            rules.push(Rule::new([Match::SourceIn(family, set)], Action::Jump(behind)));
        }
        rules.push(Rule::new([], Action::Drop).because("loadBalancerSourceRanges"));
        self.made.chains.push(Chain { name: name.to_owned(), base: None, rules });
        name.to_owned()
    }

    /// The chain that chooses among endpoints: the one that the client had, or one by chance.
    fn endpoints(
        &mut self,
        name: &str,
        endpoints: &[&EndpointEntry],
        service: &ServiceEntry,
        family: Family,
    ) -> String {
        let because = format!("service {}/{}", service.namespace, service.name);
        let sockets: Vec<_> = endpoints.iter().map(|one| (one.address, one.port)).collect();
        let rules = match service.affinity {
            None => vec![Rule::new([], Action::Translate(sockets)).because(because)],
            Some(timeout) => {
                let (mut known, mut chosen) = (Vec::new(), Vec::new());
                for (index, socket) in (0_u32..).zip(&sockets) {
                    let place = std::net::SocketAddr::from(*socket);
                    let set = format!("clients/{name}/{}", digest(&place.to_string()));
                    let chain = format!("{name}/{}", digest(&place.to_string()));
                    let elements = Elements::Recent(timeout);
                    self.made.sets.push(Set { name: set.clone(), family, elements });
                    let remember = Match::Remember(family, set.clone(), timeout);
                    let lead = Rule::new([remember], Action::Translate(vec![*socket]));
                    self.made.chains.push(Chain {
                        name: chain.clone(),
                        base: None,
                        rules: vec![lead.because(because.clone())],
                    });
                    let had = Match::SourceIn(family, set);
                    known.push(Rule::new([had], Action::Jump(chain.clone())));
                    let left = sockets.len() as u32 - index;
                    let matches = if left > 1 { vec![Match::OneIn(left)] } else { Vec::new() };
                    chosen.push(Rule::new(matches, Action::Jump(chain)));
                }
                known.extend(chosen);
                known
            }
        };
        self.made.chains.push(Chain { name: name.to_owned(), base: None, rules });
        name.to_owned()
    }
}

fn named(set: &str, family: Family) -> String {
    match family {
        Family::V4 => set.to_owned(),
        Family::V6 => format!("{set}-6"),
    }
}

/// The endpoints to use: those that are ready, or else those that still serve.
fn usable<'a>(endpoints: impl Iterator<Item = &'a EndpointEntry>) -> Vec<&'a EndpointEntry> {
    let all: Vec<_> = endpoints.collect();
    let ready: Vec<_> = all.iter().copied().filter(|one| one.ready).collect();
    if ready.is_empty() { all } else { ready }
}

/// A short name for an endpoint: names of chains hold no colons.
fn digest(text: &str) -> String {
    text.replace(['[', ']'], "").replace([':', '.'], "-")
}

mod entrances;
mod host_port;
#[cfg(test)]
mod tests;
