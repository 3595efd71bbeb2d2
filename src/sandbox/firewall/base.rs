//! What stands on a node whatever its policies say: where packets enter, Services, and
//! faults of the wire.
//!
//! ```text
//!   before:  loss? ── known: accept ── drop-port? ── a cluster address after translation: refuse
//!   egress:  known: accept ── the Admin tier ── what comes next
//!   ingress: known: accept ── the Admin tier ── what comes next
//! ```
//!
//! The three follow one another on every packet that a node forwards; what one accepts the
//! next still judges. Connections from a node to its own pods don't pass any of them, so no
//! policy blocks them. Those from a pod to its node are judged by policies of the cluster,
//! for which a node is a peer like others; NetworkPolicies always let them through, which
//! the API leaves open.

use std::net::IpAddr;

use super::{
    addresses::{Addresses, Family},
    frame::judging,
    names::{APART, all_pods_name},
    pieces::Setting,
    policy::Direction,
    ruleset::{Action, Base, Chain, Elements, Match, Rule, Ruleset, Set},
    service,
    snapshot::Snapshot,
};
use crate::model::Transport;

/// What the base of a node is made of.
pub(super) struct Input<'a> {
    pub setting: &'a Setting,
    /// The node's name.
    pub node: &'a str,
    /// Of it only what is about Services.
    pub services: &'a Snapshot,
    /// The addresses of all pods, and whether each is on this node. Only asked where a
    /// fault needs it.
    pub pods: &'a dyn Fn() -> Vec<(IpAddr, bool)>,
}

/// Whether the base depends on which pods there are.
pub(super) fn asks_for_pods(setting: &Setting) -> bool {
    setting.switches.loss.is_some() || setting.switches.ignore_ipblock_pods
}

/// The sets and chains of the base.
pub(super) fn compile(input: &Input<'_>) -> Ruleset {
    let mut base = Builder::default();
    let before = base.before(input);
    let chain = |name: &str, base, rules| Chain { name: name.to_owned(), base: Some(base), rules };
    // It stands even without Services: a connection that was sent on once depends on it.
    let service::Translation { sets, chains, refusals } =
        service::translation(input.services, input.node, input.setting.switches.masquerade);
    let apart = sets.iter().filter_map(|set| {
        if set.name.starts_with(service::HAIRPINS) {
            let pair = Match::PairIn(set.family, set.name.clone());
            Some((pair, "a pod that reaches itself through a Service"))
        } else if set.name.starts_with(service::OWN_ADDRESSES) {
            let node = Match::DestinationIn(set.family, set.name.clone());
            Some((node, "a pod's own node"))
        } else {
            None
        }
    });
    let apart = apart.map(|(one, why)| Rule::new([one], Action::Accept).because(why));
    let own = sets.iter().filter(|set| set.name.starts_with(service::OWN_ADDRESSES));
    let own = own.map(|set| Match::DestinationIn(set.family, set.name.clone()));
    let to_node = own.flat_map(|own| {
        // Neighbours that look for each other are no connection, and never new.
        let own = [own, Match::New];
        judging(Direction::Egress).map(|rule| Rule { matches: own.to_vec(), ..rule })
    });
    let to_node: Vec<Rule> =
        to_node.filter(|_| input.setting.switches.enforces(Direction::Egress)).collect();
    let rules = apart.collect();
    base.chains.push(Chain { name: APART.to_owned(), base: None, rules });
    base.chains.push(chain("input", Base::FilterInput, to_node));
    base.sets.extend(sets);
    base.chains.extend(chains);
    base.chains.push(chain("output", Base::FilterOutput, refusals.clone()));
    base.chains.push(chain("before", Base::FilterForward, [before, refusals].concat()));
    for direction in Direction::BOTH {
        let hook = match direction {
            Direction::Egress => Base::FilterEgress,
            Direction::Ingress => Base::FilterIngress,
        };
        let mut rules = known(input.setting);
        if input.setting.switches.enforces(direction) {
            rules.extend(judging(direction));
        }
        base.chains.push(chain(direction.field(), hook, rules));
    }
    Ruleset { sets: base.sets, chains: base.chains }
}

/// Connections that were allowed once, and their replies, go on.
fn known(setting: &Setting) -> Vec<Rule> {
    let known = Rule::new([Match::Established], Action::Accept);
    if setting.switches.cut_established {
        let replies = [Match::Reply, Match::Established];
        return vec![Rule::new(replies, Action::Accept).because("fault cut-established")];
    }
    if !setting.switches.drop_replies_udp {
        return vec![known];
    }
    let fault = "fault drop-replies-udp";
    vec![
        Rule::new([Match::Transport(Transport::Tcp), Match::Established], Action::Accept),
        Rule::new([Match::Original, Match::Established], Action::Accept).because(fault),
    ]
}

#[derive(Default)]
struct Builder {
    sets: Vec<Set>,
    chains: Vec<Chain>,
}

impl Builder {
    /// A set for each family of which there are elements.
    fn by_family(
        &mut self,
        name: &str,
        elements: impl Fn(Family) -> Elements,
    ) -> Vec<(Family, String)> {
        let mut made = Vec::new();
        for family in Family::BOTH {
            let elements = elements(family);
            if !elements.is_empty() {
                let name = match family {
                    Family::V4 => name.to_owned(),
                    Family::V6 => format!("{name}-6"),
                };
                self.sets.push(Set { name: name.clone(), family, elements });
                made.push((family, name));
            }
        }
        made
    }

    /// Loses packets where they leave the source's node, so each is in danger once; before
    /// known connections are accepted, since a reply may be lost as well.
    fn before(&mut self, input: &Input<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        if asks_for_pods(input.setting) {
            let pods = (input.pods)();
            let all: Addresses = pods.iter().map(|(address, _)| *address).collect();
            for &family in &input.setting.families {
                let (name, elements) = (all_pods_name(family), Elements::Addresses(all.of(family)));
                self.sets.push(Set { name, family, elements });
            }
            if let Some(share) = input.setting.switches.loss {
                let here: Addresses =
                    pods.iter().filter(|(_, here)| *here).map(|(address, _)| *address).collect();
                let here =
                    self.by_family("pods-here", |family| Elements::Addresses(here.of(family)));
                rules.extend(here.into_iter().map(|(family, from)| {
                    let to = Match::DestinationIn(family, all_pods_name(family));
                    let matches = [Match::SourceIn(family, from), to, Match::Chance(share)];
                    Rule::new(matches, Action::Drop).because(format!("fault loss={share}"))
                }));
            }
        }
        rules.push(Rule::new([Match::Established], Action::Accept));
        rules.extend(input.setting.switches.drop_ports.iter().map(|(transport, number)| {
            let matches = [Match::Transport(*transport), Match::Port((*number..=*number).into())];
            Rule::new(matches, Action::Drop).because(format!("fault drop-port={number}"))
        }));
        rules
    }
}
