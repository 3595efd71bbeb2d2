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

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{
    addresses::Addresses,
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
    let masquerade = (!hairpins.is_empty()).then(|| {
        let name = compiler.set("hairpins", Elements::Pairs(hairpins));
        Rule::new([Match::PairIn(name)], Action::Masquerade)
            .because("a pod that reaches itself through a Service")
    });
    let masquerade = masquerade.into_iter().collect();
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
    set_names: BTreeMap<Elements, String>,
    chain_names: BTreeMap<(Direction, Vec<Rule>), String>,
}

impl Compiler {
    /// Loses packets where they leave the source's node, so each is in danger once.
    fn losses(&mut self, snapshot: &Snapshot, node: &str, faults: &[Fault]) -> Option<Rule> {
        let share = faults.iter().find_map(|fault| match fault {
            Fault::Loss(share) if share.get() > 0 => Some(*share),
            _ => None,
        })?;
        let pods = || snapshot.pods.iter().filter(|pod| !pod.host_network);
        let here = pods().filter(|pod| pod.node == node).map(|pod| pod.address).collect();
        let all = pods().map(|pod| pod.address).collect();
        let from = self.set("pods-here", Elements::Addresses(here));
        let to = self.set("pods", Elements::Addresses(all));
        let matches = [Match::SourceIn(from), Match::DestinationIn(to), Match::Chance(share)];
        Some(Rule::new(matches, Action::Drop).because(format!("fault loss={share}")))
    }

    fn refusals(&mut self, snapshot: &Snapshot) -> Vec<Rule> {
        let addresses: Addresses =
            snapshot.services.iter().map(|service| service.cluster_ip).collect();
        if addresses.is_empty() {
            return Vec::new();
        }
        let name = self.set("cluster-addresses", Elements::Addresses(addresses));
        service::refusals(&name).into()
    }

    /// The chains of this node's isolated pods, and the rule that leads to them.
    fn isolation(&mut self, snapshot: &Snapshot, node: &str, direction: Direction) -> Option<Rule> {
        // The later of two pods with one address counts, isolated or not.
        let pods: BTreeMap<Ipv4Addr, &PodEntry> = snapshot
            .pods
            .iter()
            .filter(|pod| pod.node == node && !pod.host_network)
            .map(|pod| (pod.address, pod))
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
                    rules.push(self.permit(allowed, direction));
                }
            }
            let names: Vec<_> = policies.into_iter().map(policy::name).collect();
            let because = format!("isolated by {}", names.join(", "));
            rules.extend(self.denial().into_iter().map(|rule| rule.because(because.clone())));
            let chain = self.chain(direction, rules);
            let comment = format!("{}/{}", pod.namespace, pod.name);
            jumps.insert(address, Jump { chain, comment });
        }
        if jumps.is_empty() {
            return None;
        }
        let map = self.set(&format!("{}-isolated", direction.field()), Elements::Jumps(jumps));
        let action = match direction {
            Direction::Ingress => Action::JumpByDestination(map),
            Direction::Egress => Action::JumpBySource(map),
        };
        Some(Rule::new([], action))
    }

    /// The rule that lets through what is allowed.
    fn permit(&mut self, allowed: Allowed, direction: Direction) -> Rule {
        let mut matches = Vec::new();
        if let Peers::Among(addresses) = allowed.peers {
            let name = self.set("peers", Elements::Addresses(addresses));
            matches.push(match direction {
                Direction::Ingress => Match::SourceIn(name),
                Direction::Egress => Match::DestinationIn(name),
            });
        }
        match allowed.ports {
            Ports::Any => {}
            Ports::All(transport) => matches.push(Match::Transport(transport)),
            Ports::Range(transport, range) => {
                matches.extend([Match::Transport(transport), Match::Port(range)]);
            }
            Ports::Sockets(transport, sockets) => {
                let name = self.set("sockets", Elements::Sockets(sockets));
                matches.extend([Match::Transport(transport), Match::SocketIn(name)]);
            }
        }
        Rule::new(matches, Action::Return).because(allowed.by)
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
    fn set(&mut self, kind: &str, elements: Elements) -> String {
        if let Some(name) = self.set_names.get(&elements) {
            return name.clone();
        }
        let name = match kind {
            "peers" | "sockets" => format!("{kind}-{}", self.sets.len() + 1),
            _ => kind.to_owned(),
        };
        self.sets.push(Set { name: name.clone(), elements: elements.clone() });
        self.set_names.insert(elements, name.clone());
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
