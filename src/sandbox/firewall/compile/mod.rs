//! From a snapshot to a node's table.
//!
//! ```text
//!   forward: loss? ── known connection: accept ── cluster address: refuse
//!            ── jump by source to egress-N ── jump by destination to ingress-N ── accept
//! ```
//!
//! A pod's chain returns what a policy allows and denies the rest, so that a connection
//! between two pods of one node needs both. Pods of which the same is allowed share a chain.
//! Connections between a node and its own pods don't pass `forward`, either way, so no
//! policy blocks them; the API leaves the way from the pod to its node open.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    addresses::{Addresses, Family},
    policy::{self, Allowed, Direction, Peers, Ports},
    ruleset::{Action, Base, Chain, Elements, Jump, Match, Rejection, Rule, Ruleset, Set},
    service,
    snapshot::{PodEntry, Snapshot},
};
use crate::{model::Transport, sandbox::fault::NetworkFault as Fault};

/// Compiles the rules of one node. The same input makes the same rules.
pub fn compile(snapshot: &Snapshot, node: &str, faults: &[Fault]) -> Ruleset {
    let mut compiler = Compiler { reject: faults.contains(&Fault::Reject), ..Compiler::default() };
    let mut forward = Vec::new();
    // Before known connections are accepted: a reply may be lost as well.
    forward.extend(compiler.losses(snapshot, node, faults));
    forward.push(Rule::new([Match::Established], Action::Accept));
    let refusals = compiler.refusals(snapshot);
    forward.extend(refusals.iter().cloned());
    for (direction, fault) in
        [(Direction::Egress, Fault::IgnoreEgress), (Direction::Ingress, Fault::IgnoreIngress)]
    {
        if !faults.contains(&Fault::EnforceNothing) && !faults.contains(&fault) {
            forward.extend(compiler.isolation(snapshot, node, direction));
        }
    }
    let base = |name: &str, base, rules| Chain { name: name.to_owned(), base: Some(base), rules };
    // These stand even without Services: a connection that was sent on once depends on them.
    let services = "services".to_owned();
    let jump = vec![Rule::new([], Action::Jump(services.clone()))];
    let translations = service::translations(snapshot);
    compiler.chains.push(Chain { name: services, base: None, rules: translations });
    compiler.chains.push(base("prerouting", Base::NatPrerouting, jump.clone()));
    compiler.chains.push(base("nat-output", Base::NatOutput, jump));
    let hairpins = service::hairpins(snapshot);
    let masquerade = compiler.by_family(
        "hairpins",
        |family| {
            let own = hairpins.iter().filter(|(from, _)| Family::of(*from) == family);
            Elements::Pairs(own.copied().collect())
        },
        |family, name| {
            Rule::new([Match::PairIn(family, name)], Action::Masquerade)
                .because("a pod that reaches itself through a Service")
        },
    );
    compiler.chains.push(base("postrouting", Base::NatPostrouting, masquerade));
    compiler.chains.push(Chain::forward(forward));
    if !refusals.is_empty() {
        compiler.chains.push(base("output", Base::FilterOutput, refusals));
    }
    Ruleset { sets: compiler.sets, chains: compiler.chains }
}

/// The sets and chains made so far; what has the same content is made once.
#[derive(Default)]
struct Compiler {
    reject: bool,
    sets: Vec<Set>,
    chains: Vec<Chain>,
    set_names: BTreeMap<(Family, Elements), String>,
    chain_names: BTreeMap<(Direction, Vec<Rule>), String>,
}

impl Compiler {
    /// Loses packets where they leave the source's node, so each is in danger once.
    fn losses(&mut self, snapshot: &Snapshot, node: &str, faults: &[Fault]) -> Vec<Rule> {
        let share = faults.iter().find_map(|fault| match fault {
            Fault::Loss(share) if share.get() > 0 => Some(*share),
            _ => None,
        });
        let Some(share) = share else { return Vec::new() };
        let pods = || snapshot.pods.iter().filter(|pod| !pod.host_network);
        let here = pods().filter(|pod| pod.node == node).flat_map(|pod| pod.addresses.clone());
        let (here, all): (Addresses, Addresses) =
            (here.collect(), pods().flat_map(|pod| pod.addresses.clone()).collect());
        let mut rules = Vec::new();
        for family in Family::BOTH {
            let (here, all) = (here.of(family), all.of(family));
            if here.is_empty() {
                continue;
            }
            let from = self.set("pods-here", family, Elements::Addresses(here));
            let to = self.set("pods", family, Elements::Addresses(all));
            let matches = [
                Match::SourceIn(family, from),
                Match::DestinationIn(family, to),
                Match::Chance(share),
            ];
            rules.push(Rule::new(matches, Action::Drop).because(format!("fault loss={share}")));
        }
        rules
    }

    fn refusals(&mut self, snapshot: &Snapshot) -> Vec<Rule> {
        let addresses: Addresses =
            snapshot.services.iter().flat_map(|service| service.cluster_ips.clone()).collect();
        let addresses = |family| Elements::Addresses(addresses.of(family));
        let rules = self.by_family("cluster-addresses", addresses, |family, name| {
            service::refusals(family, &name)
        });
        rules.into_iter().flatten().collect()
    }

    /// What is made of a set for each family of which there are elements.
    fn by_family<T>(
        &mut self,
        kind: &str,
        elements: impl Fn(Family) -> Elements,
        make: impl Fn(Family, String) -> T,
    ) -> Vec<T> {
        let mut made = Vec::new();
        for family in Family::BOTH {
            let elements = elements(family);
            if !elements.is_empty() {
                let name = self.set(kind, family, elements);
                made.push(make(family, name));
            }
        }
        made
    }

    /// The chains of this node's isolated pods, and the rules that lead to them.
    fn isolation(&mut self, snapshot: &Snapshot, node: &str, direction: Direction) -> Vec<Rule> {
        // The later of two pods with one address counts, isolated or not.
        let pods: BTreeMap<IpAddr, &PodEntry> = snapshot
            .pods
            .iter()
            .filter(|pod| pod.node == node && !pod.host_network)
            .flat_map(|pod| pod.addresses.iter().map(move |&address| (address, pod)))
            .collect();
        let mut jumps = BTreeMap::new();
        for (address, pod) in pods {
            let policies = policy::isolating(snapshot, pod, direction);
            if policies.is_empty() {
                continue;
            }
            let mut rules = Vec::new();
            for policy in &policies {
                for allowed in policy::allowed(snapshot, policy, pod, direction) {
                    rules.extend(self.permit(allowed, direction));
                }
            }
            let names: Vec<_> = policies.into_iter().map(policy::name).collect();
            let because = format!("isolated by {}", names.join(", "));
            rules.extend(self.denial().into_iter().map(|rule| rule.because(because.clone())));
            let chain = self.chain(direction, rules);
            let comment = format!("{}/{}", pod.namespace, pod.name);
            jumps.insert(address, Jump { chain, comment });
        }
        let jumps = |family| {
            let own = jumps.iter().filter(|(address, _)| Family::of(**address) == family);
            Elements::Jumps(own.map(|(&address, jump)| (address, jump.clone())).collect())
        };
        self.by_family(&format!("{}-isolated", direction.field()), jumps, |family, map| {
            let action = match direction {
                Direction::Ingress => Action::JumpByDestination(family, map),
                Direction::Egress => Action::JumpBySource(family, map),
            };
            Rule::new([], action)
        })
    }

    /// The rules that let through what is allowed, one for each family of which it speaks.
    fn permit(&mut self, allowed: Allowed, direction: Direction) -> Vec<Rule> {
        let rule =
            |matches: Vec<Match>| Rule::new(matches, Action::Return).because(allowed.by.clone());
        let ports = match allowed.ports {
            Ports::Any => Vec::new(),
            Ports::All(transport) => vec![Match::Transport(transport)],
            Ports::Range(transport, range) => {
                vec![Match::Transport(transport), Match::Port(range)]
            }
            Ports::Sockets(transport, sockets) => {
                let own = |family| {
                    let own = sockets.iter().filter(|(address, _)| Family::of(*address) == family);
                    Elements::Sockets(own.copied().collect())
                };
                return self.by_family("sockets", own, |family, name| {
                    rule(vec![Match::Transport(transport), Match::SocketIn(family, name)])
                });
            }
        };
        let Peers::Among(addresses) = allowed.peers else { return vec![rule(ports)] };
        let own = |family| Elements::Addresses(addresses.of(family));
        self.by_family("peers", own, |family, name| {
            let peers = match direction {
                Direction::Ingress => Match::SourceIn(family, name),
                Direction::Egress => Match::DestinationIn(family, name),
            };
            rule([vec![peers], ports.clone()].concat())
        })
    }

    /// What happens to the rest.
    fn denial(&self) -> Vec<Rule> {
        if self.reject {
            vec![
                Rule::new([Match::Transport(Transport::Tcp)], Action::Reject(Rejection::Reset)),
                Rule::new([], Action::Reject(Rejection::Prohibited)),
            ]
        } else {
            vec![Rule::new([], Action::Drop)]
        }
    }

    /// The name of a set with these elements; those of which there are many are numbered.
    fn set(&mut self, kind: &str, family: Family, elements: Elements) -> String {
        let content = (family, elements);
        if let Some(name) = self.set_names.get(&content) {
            return name.clone();
        }
        let name = match (kind, family) {
            ("peers" | "sockets", _) => format!("{kind}-{}", self.sets.len() + 1),
            (_, Family::V4) => kind.to_owned(),
            (_, Family::V6) => format!("{kind}-6"),
        };
        let (_, elements) = content.clone();
        self.sets.push(Set { name: name.clone(), family, elements });
        self.set_names.insert(content, name.clone());
        name
    }

    /// The name of a chain with these rules.
    fn chain(&mut self, direction: Direction, rules: Vec<Rule>) -> String {
        self.chain_names
            .entry((direction, rules))
            .or_insert_with_key(|(_, rules)| {
                let name = format!("{}-{}", direction.field(), self.chains.len() + 1);
                self.chains.push(Chain { name: name.clone(), base: None, rules: rules.clone() });
                name
            })
            .clone()
    }
}

#[cfg(test)]
mod tests;
