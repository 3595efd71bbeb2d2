//! The stages of judgement: a tier of cluster policies, and NetworkPolicies between them.

use super::{
    super::{
        cluster_policy::{Action, Tier},
        compile::{PolicyId, RuleForm},
        decision::{Direction, Reason, RuleRef},
        doubt::Doubt,
    },
    Other, View, hits,
    possible::Possible,
};
use crate::model::IpProtocol;

impl View<'_> {
    /// A tier of cluster policies: by priority, then by rule; the first match ends it.
    pub(super) fn tier(&mut self, tier: Tier) -> Possible {
        let all = self.all;
        let ranked = all.judging[self.pod].iter().filter_map(|id| {
            let (found, priority) = all.form_of(*id)?.rank?;
            (found == tier).then_some((priority, *id))
        });
        let ranked: Vec<(u16, PolicyId)> = ranked.collect();
        let mut total = Possible::default();
        for group in ranked.chunk_by(|a, b| a.0 == b.0) {
            let mut decided: Vec<(Possible, Vec<RuleRef>)> = Vec::new();
            let mut falls_through = true;
            for (_, id) in group {
                let (possible, rules, through) = self.ordered(*id);
                falls_through &= through;
                if !rules.is_empty() {
                    decided.push((possible, rules));
                }
            }
            if decided.iter().any(|(possible, _)| *possible != decided[0].0) {
                let rules = decided.iter().flat_map(|(_, rules)| rules).copied().collect();
                self.found.doubt(Doubt::Tie(rules));
            }
            for (possible, rules) in decided {
                total = total.or(possible);
                self.found.reasons.extend(rules.into_iter().map(Reason::Rule));
            }
            if !falls_through {
                return total;
            }
        }
        total.or(Possible::NEXT)
    }

    /// One cluster policy: what its rules can make of this, which ones, and whether it can
    /// be that none of them matches.
    fn ordered(&mut self, id: PolicyId) -> (Possible, Vec<RuleRef>, bool) {
        let all = self.all;
        let rules = all.form_of(id).and_then(|form| form.rules(self.direction)).unwrap_or_default();
        let (mut possible, mut matched) = (Possible::default(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            let hit = self.cluster_hit(rule, self.rule_ref(id, index, rule));
            if let Some(place) = hit.place() {
                let action = if rule.fails_closed { Action::Deny } else { rule.action };
                possible = possible.or(Possible::of(action));
                matched.push(place);
            }
            match hit {
                hits::Hit::Yes(_) => return (possible, matched, false),
                hits::Hit::Maybe(doubt, _) => self.found.doubt(doubt),
                hits::Hit::No => {}
            }
        }
        (possible, matched, true)
    }

    fn rule_ref(&self, policy: PolicyId, index: usize, rule: &RuleForm) -> RuleRef {
        RuleRef {
            policy,
            direction: self.direction,
            rule: index as u16,
            peer: None,
            port: None,
            action: if rule.fails_closed { Action::Deny } else { rule.action },
        }
    }

    /// NetworkPolicies: isolated or not, and if so, the union of what they allow.
    pub(super) fn network(&mut self, itself: bool) -> Possible {
        let all = self.all;
        let isolates = |id: &&PolicyId| {
            all.form_of(**id).is_some_and(|form| form.rules(self.direction).is_some())
        };
        let isolating: Vec<PolicyId> =
            all.selecting[self.pod].iter().filter(isolates).copied().collect();
        if isolating.is_empty() {
            return Possible::NEXT;
        }
        let subject_is_host = all.pods[self.pod].host;
        let other_is_host = match self.other {
            Other::Pod(other) => all.pods.get(other).is_some_and(|pod| pod.host),
            Other::Address(_) | Other::Host(_) => false,
        };
        let as_pod = self.union(&isolating, true);
        let mut possible = as_pod;
        if subject_is_host {
            // As its node's address it is nobody's subject.
            possible = possible.or(Possible::NEXT);
        } else if other_is_host {
            possible = possible.or(self.union(&isolating, false));
        }
        if possible.deny {
            if (subject_is_host || other_is_host) && possible != as_pod {
                self.found.doubt(Doubt::HostNetwork);
            }
            possible = possible.or(self.exemptions(itself));
        }
        self.found.isolated_by = isolating;
        if !self.found.reasons.iter().any(|reason| self.is_network_rule(reason)) {
            self.found.reasons.push(Reason::NoRule);
        }
        possible
    }

    fn is_network_rule(&self, reason: &Reason) -> bool {
        let Reason::Rule(rule) = reason else { return false };
        self.all.form_of(rule.policy).is_some_and(|form| form.rank.is_none())
    }

    /// What else may come out although no rule allows it.
    fn exemptions(&mut self, itself: bool) -> Possible {
        let mut possible = Possible::default();
        if self.traffic.protocol == IpProtocol::Icmp {
            self.found.doubt(Doubt::Icmp);
            possible = possible.or(Possible::NEXT);
        }
        if itself {
            self.found.doubt(Doubt::Hairpin);
            possible = possible.or(Possible::ALLOW);
        }
        let own_node = match (self.direction, self.other) {
            (_, Other::Address(address)) => self.is_own_node(address),
            (Direction::Egress, Other::Pod(other)) if self.all.pods[other].host => {
                self.shares_node(other)
            }
            _ => Some(false),
        };
        if own_node != Some(false) {
            self.found.doubt(Doubt::OwnNode);
            possible = possible.or(Possible::ALLOW);
        }
        possible
    }

    /// What the union of some NetworkPolicies allows. A pod on its node's network counts
    /// as a pod, or else as its node's address.
    fn union(&mut self, policies: &[PolicyId], as_pod: bool) -> Possible {
        let all = self.all;
        let (mut certain, mut maybe) = (false, false);
        for id in policies {
            let rules =
                all.form_of(*id).and_then(|form| form.rules(self.direction)).unwrap_or_default();
            for (index, rule) in rules.iter().enumerate() {
                let hit = self.network_hit(rule, self.rule_ref(*id, index, rule), as_pod);
                if let Some(place) = hit.place() {
                    let reason = Reason::Rule(place);
                    if !self.found.reasons.contains(&reason) {
                        self.found.reasons.push(reason);
                    }
                }
                match hit {
                    hits::Hit::Yes(_) => certain = true,
                    hits::Hit::Maybe(doubt, _) => {
                        maybe = true;
                        self.found.doubt(doubt);
                    }
                    hits::Hit::No => {}
                }
            }
        }
        if !as_pod
            && self.direction == Direction::Ingress
            && let Other::Pod(other) = self.other
        {
            match self.shares_node(other) {
                Some(true) => certain = true,
                None => maybe = true,
                Some(false) => {}
            }
        }
        match (certain, maybe) {
            (true, _) => Possible::ALLOW,
            (false, true) => Possible::ALLOW.or(Possible::DENY),
            (false, false) => Possible::DENY,
        }
    }
}
