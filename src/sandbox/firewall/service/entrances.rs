//! The chains that packets enter by, and what is refused there.

use std::collections::BTreeMap;

use super::{Builder, DROP, HAIRPINS, OWN_ADDRESSES, REFUSE, Socket, Translation, named};
use crate::{
    model::Transport,
    sandbox::firewall::{
        addresses::{Addresses, Family},
        ruleset::{Action, Base, Chain, Elements, Jump, Match, Rejection, Rule, Set},
    },
};

impl Builder<'_> {
    /// The chains that packets enter by, and the sets that are used by all.
    pub(super) fn finish(mut self, cluster: Addresses, pods_here: Addresses) -> Translation {
        let (mut services, mut masquerade, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for family in Family::BOTH {
            let of = |socket: &Socket| Family::of(socket.0) == family;
            let part = |jumps: &BTreeMap<Socket, Jump>| -> BTreeMap<Socket, Jump> {
                let own = jumps.iter().filter(|(socket, _)| of(socket));
                own.map(|(socket, jump)| (*socket, jump.clone())).collect()
            };
            let own = self.own.iter().copied().filter(|own| Family::of(*own) == family);
            let whole = self.whole.iter().copied().filter(|own| Family::of(*own) == family);
            let pairs = self.hairpins.iter().copied().filter(|(own, _)| Family::of(*own) == family);
            let insiders = Addresses::union(self.insiders.iter().cloned()).of(family);
            for (name, elements) in [
                ("services", Elements::Services(part(&self.jumps))),
                ("refused", Elements::Services(part(&self.refused))),
                (OWN_ADDRESSES, Elements::Addresses(own.collect())),
                ("cluster-addresses", Elements::Addresses(whole.collect())),
                (HAIRPINS, Elements::Pairs(pairs.collect())),
                ("pod-ranges", Elements::Addresses(insiders)),
                ("cluster-ranges", Elements::Addresses(cluster.of(family))),
                ("pod-ranges-here", Elements::Addresses(pods_here.of(family))),
            ] {
                // The map that every connection is looked up in is always there; so are the
                // chains around it, or a connection that was sent on once would be lost.
                if elements.is_empty() {
                    continue;
                }
                let set = named(name, family);
                match name {
                    "services" => {
                        let jump = Action::JumpByService(family, set.clone());
                        services.push(Rule::new([], jump));
                    }
                    "refused" => {
                        let jump = Action::JumpByService(family, set.clone());
                        refusals.push(Rule::new([], jump));
                    }
                    "cluster-addresses" => refusals.extend(refuse(family, &set)),
                    HAIRPINS => masquerade.push(
                        Rule::new([Match::PairIn(family, set.clone())], Action::Masquerade)
                            .because("a pod that reaches itself through a Service"),
                    ),
                    _ => {}
                }
                self.made.sets.push(Set { name: set, family, elements });
            }
        }
        masquerade.push(
            Rule::new([Match::Marked], Action::Masquerade)
                .because("from outside to a Service, by this node"),
        );
        for family in Family::BOTH {
            if cluster.of(family).is_empty() || pods_here.of(family).is_empty() {
                continue;
            }
            let (inside, why) = match self.masqueraded {
                false => ("cluster-ranges", "from a pod to outside the cluster"),
                true => ("pod-ranges-here", "fault masquerade"),
            };
            let inside = Match::DestinationIn(family, named(inside, family));
            let pods = Match::SourceIn(family, named("pod-ranges-here", family));
            masquerade.push(Rule::new([inside], Action::Accept));
            masquerade.push(Rule::new([pods], Action::Masquerade).because(why));
        }
        if self.drops {
            let rules = vec![Rule::new([], Action::Drop).because("no endpoint on this node")];
            self.made.chains.insert(0, Chain { name: DROP.to_owned(), base: None, rules });
        }
        if !self.refused.is_empty() {
            let chain = Chain { name: REFUSE.to_owned(), base: None, rules: refuse_all().into() };
            self.made.chains.insert(0, chain);
        }
        let base =
            |name: &str, base, rules| Chain { name: name.to_owned(), base: Some(base), rules };
        self.made.chains.extend([
            Chain { name: "services".to_owned(), base: None, rules: services },
            base("prerouting", Base::NatPrerouting, to_services()),
            base("nat-output", Base::NatOutput, to_services()),
            base("postrouting", Base::NatPostrouting, masquerade),
        ]);
        self.made.refusals = refusals;
        self.made
    }
}

fn to_services() -> Vec<Rule> {
    vec![Rule::new([], Action::Jump("services".to_owned()))]
}

fn refuse(family: Family, cluster_addresses: &str) -> [Rule; 2] {
    let to = Match::DestinationIn(family, cluster_addresses.to_owned());
    refuse_all().map(|rule| {
        let matches = [vec![to.clone()], rule.matches].concat();
        Rule { matches, ..rule }
    })
}

fn refuse_all() -> [Rule; 2] {
    [
        Rule::new([Match::Transport(Transport::Tcp)], Action::Reject(Rejection::Reset))
            .because("no such Service port, or no endpoints"),
        Rule::new([], Action::Reject(Rejection::PortUnreachable))
            .because("no such Service port, or no endpoints"),
    ]
}
