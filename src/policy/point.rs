//! One connection: what the policies say, and why.
//!
//! Where Kubernetes leaves something open, every reading is followed, and what can come
//! out is a set. The outcome is told only where all readings agree.

use std::net::IpAddr;

use super::{
    cluster_policy::{Action, Tier},
    compile::{Compiled, PolicyId, RuleForm},
    decision::{Decision, Direction, Outcome, Reason, RuleRef, Side},
    doubt::Doubt,
};
use crate::model::{End, Family, IpProtocol, Topology, Traffic};

mod hits;

/// What can come out of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Possible {
    allow: bool,
    deny: bool,
    /// The next stage decides.
    next: bool,
}

impl Possible {
    const ALLOW: Self = Self { allow: true, deny: false, next: false };
    const DENY: Self = Self { allow: false, deny: true, next: false };
    const NEXT: Self = Self { allow: false, deny: false, next: true };

    fn or(self, other: Self) -> Self {
        Self {
            allow: self.allow || other.allow,
            deny: self.deny || other.deny,
            next: self.next || other.next,
        }
    }

    fn of(action: Action) -> Self {
        match action {
            Action::Accept => Self::ALLOW,
            Action::Deny => Self::DENY,
            Action::Pass => Self::NEXT,
        }
    }

    /// What was possible, with `next` replaced by what the next stage says.
    fn then(self, next: impl FnOnce() -> Self) -> Self {
        if self.next { Self { next: false, ..self }.or(next()) } else { self }
    }
}

/// The other end, as one pod's policies see it.
#[derive(Clone, Copy, Debug)]
enum Other<'a> {
    Pod(usize),
    Address(IpAddr),
    Host(&'a str),
}

/// One direction of one connection.
struct View<'a> {
    all: &'a Compiled,
    traffic: &'a Traffic,
    family: Option<Family>,
    direction: Direction,
    pod: usize,
    other: Other<'a>,
    found: Findings,
}

/// What was met on the way.
#[derive(Default)]
struct Findings {
    isolated_by: Vec<PolicyId>,
    reasons: Vec<Reason>,
    doubts: Vec<Doubt>,
}

impl Findings {
    fn doubt(&mut self, doubt: Doubt) {
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

impl Compiled {
    /// What the policies say about a connection.
    pub fn decide(&self, traffic: &Traffic) -> Decision {
        let topology = &self.topology;
        let known = |end: &End| match topology.resolve(end) {
            End::Pod(pod) if pod >= self.pods.len() => End::Host(format!("pod #{pod}")),
            end => end,
        };
        let (from, to) = (known(&traffic.from), known(&traffic.to));
        let family = traffic.family.or_else(|| family_of(topology, &from, &to));
        let side = |direction, end: &End, other: &End| {
            let pod = match end {
                End::Pod(pod) => *pod,
                End::Address(_) | End::Host(_) => {
                    return Side {
                        direction,
                        outcome: Outcome::Allowed,
                        isolated_by: Vec::new(),
                        reasons: vec![Reason::NoPod],
                        doubts: Vec::new(),
                    };
                }
            };
            let other = match other {
                End::Pod(pod) => Other::Pod(*pod),
                End::Address(address) => Other::Address(*address),
                End::Host(name) => Other::Host(name),
            };
            let found = Findings::default();
            View { all: self, traffic, family, direction, pod, other, found }.judge()
        };
        let egress = side(Direction::Egress, &from, &to);
        let ingress = side(Direction::Ingress, &to, &from);
        let foreign = self.foreign_to(&[&from, &to]);
        let outcome = if foreign.is_empty() {
            egress.outcome.and(ingress.outcome)
        } else {
            Outcome::Undetermined
        };
        Decision { outcome, egress, ingress, foreign }
    }

    /// Objects of other kinds of policy that may decide about these ends.
    fn foreign_to(&self, ends: &[&End]) -> Vec<String> {
        if self.foreign.is_empty() {
            return Vec::new();
        }
        let namespaces: Vec<&str> = ends
            .iter()
            .filter_map(|end| match end {
                End::Pod(pod) => self.topology.pods().get(*pod).map(|pod| pod.namespace.as_str()),
                End::Address(_) | End::Host(_) => None,
            })
            .collect();
        let is_near = |namespace: &Option<String>| {
            namespace.as_ref().is_none_or(|namespace| namespaces.contains(&namespace.as_str()))
        };
        let near = self.foreign.iter().filter(|foreign| is_near(&foreign.namespace));
        near.map(ToString::to_string).collect()
    }
}

/// The only family that both ends have, where their addresses are known.
fn family_of(topology: &Topology, from: &End, to: &End) -> Option<Family> {
    let has = |end: &End, family| match end {
        End::Address(address) => Family::of(*address) == family,
        End::Host(_) => true,
        End::Pod(pod) => topology
            .pods()
            .get(*pod)
            .is_none_or(|pod| pod.addresses.is_empty() || pod.address(family).is_some()),
    };
    let both = |family| has(from, family) && has(to, family);
    match (both(Family::Ipv4), both(Family::Ipv6)) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        _ => None,
    }
}

impl View<'_> {
    fn judge(mut self) -> Side {
        let possible = self.stages();
        let outcome = match possible {
            Possible { allow: true, deny: false, .. } => Outcome::Allowed,
            Possible { allow: false, deny: true, .. } => Outcome::Denied,
            _ => Outcome::Undetermined,
        };
        let Findings { isolated_by, reasons, mut doubts } = self.found;
        if outcome != Outcome::Undetermined {
            doubts.clear();
        }
        Side { direction: self.direction, outcome, isolated_by, reasons, doubts }
    }

    fn stages(&mut self) -> Possible {
        let itself = matches!(self.other, Other::Pod(other) if other == self.pod);
        if itself && self.traffic.via.is_none() {
            self.found.reasons.push(Reason::Itself);
            return Possible::ALLOW;
        }
        let from_own_node = self.is_from_own_node();
        if from_own_node == Some(true) {
            self.found.reasons.push(Reason::FromOwnNode);
            return Possible::ALLOW;
        }
        let admin = self.tier(Tier::Admin);
        let possible = admin.then(|| {
            self.network(itself).then(|| {
                self.tier(Tier::Baseline).then(|| {
                    self.found.reasons.push(Reason::Default);
                    Possible::ALLOW
                })
            })
        });
        if possible.deny && from_own_node.is_none() {
            self.found.doubt(Doubt::OwnNode);
            return possible.or(Possible::ALLOW);
        }
        possible
    }

    /// Whether a connection comes in from the pod's own node; unknown where the pod's node
    /// is, or where the other end is a pod that may count as a node.
    fn is_from_own_node(&self) -> Option<bool> {
        if self.direction == Direction::Egress {
            return Some(false);
        }
        match self.other {
            Other::Address(address) => self.is_own_node(address),
            Other::Pod(_) | Other::Host(_) => Some(false),
        }
    }

    /// Whether an address is that of the pod's own node.
    fn is_own_node(&self, address: IpAddr) -> Option<bool> {
        let node = self.all.topology.node_of(address);
        let pod = &self.all.topology.pods()[self.pod];
        match (node, &pod.node) {
            (None, _) => Some(false),
            (Some(node), Some(own)) => Some(node.name == *own),
            (Some(_), None) => None,
        }
    }

    /// Whether a pod on its node's network is on this pod's own node.
    fn shares_node(&self, other: usize) -> Option<bool> {
        let pods = self.all.topology.pods();
        match (&pods[self.pod].node, &pods[other].node) {
            (Some(own), Some(other)) => Some(own == other),
            _ => None,
        }
    }

    /// A tier of cluster policies: by priority, then by rule; the first match ends it.
    fn tier(&mut self, tier: Tier) -> Possible {
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
    fn network(&mut self, itself: bool) -> Possible {
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
