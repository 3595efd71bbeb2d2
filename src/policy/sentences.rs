//! Decisions in plain sentences.

use super::{
    cluster_policy::Action,
    compile::{Compiled, PolicyId},
    decision::{Decision, Direction, Outcome, Reason, RuleRef, Side},
    miss::{self, Miss, wanted_port},
    network_policy::Peer,
    set::Policy,
    subject,
};
use crate::model::{End, Traffic};

/// Why something is as it is, and what would have to change for it to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The answer in a line.
    pub headline: String,
    /// The chain of reasons, in the order in which they are judged.
    pub reasons: Vec<String>,
    /// What would flip it, the nearest first.
    pub flip: Vec<String>,
}

impl Compiled {
    /// How sentences call an end.
    pub fn name_end(&self, end: &End) -> String {
        match self.topology().resolve(end) {
            End::Pod(pod) => self
                .topology()
                .pods()
                .get(pod)
                .map_or_else(|| format!("pod #{pod}"), ToString::to_string),
            End::Address(address) => address.to_string(),
            End::Host(name) => name,
        }
    }

    /// How sentences call a policy: `NetworkPolicy shop/db`.
    pub fn name_policy(&self, id: PolicyId) -> String {
        self.policy(id).map_or_else(
            || format!("policy #{}", id.0),
            |policy| format!("{} {policy}", policy.kind()),
        )
    }

    /// How sentences call a rule: its path, its name where it has one, and its policy.
    pub fn name_rule(&self, rule: &RuleRef) -> String {
        let name = match self.policy(rule.policy) {
            Some(Policy::Cluster(policy)) => policy
                .rules(rule.direction)
                .get(usize::from(rule.rule))
                .and_then(|rule| rule.name.clone()),
            _ => None,
        };
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{}{name} of {}", rule.path(), self.name_policy(rule.policy))
    }

    /// A decision's cause in a few words: the rule, or the policies that isolate.
    pub fn cause(&self, decision: &Decision) -> String {
        if !decision.foreign.is_empty() {
            return format!("other kinds of policy may decide: {}", decision.foreign.join(", "));
        }
        let sides = [&decision.egress, &decision.ingress];
        let rules = |action: Action| {
            let rules =
                sides.into_iter().flat_map(|side| &side.reasons).filter_map(move |reason| {
                    match reason {
                        Reason::Rule(rule) if rule.action == action => Some(self.name_rule(rule)),
                        _ => None,
                    }
                });
            rules.collect::<Vec<_>>()
        };
        match decision.outcome {
            Outcome::Allowed => match rules(Action::Accept) {
                rules if rules.is_empty() => "no policy stands in the way".to_owned(),
                rules => rules.join(" and "),
            },
            Outcome::Denied => {
                let side = sides.into_iter().find(|side| side.outcome == Outcome::Denied);
                let denying = rules(Action::Deny);
                match side {
                    Some(side) if side.reasons.contains(&Reason::NoRule) => {
                        let policies: Vec<_> =
                            side.isolated_by.iter().map(|id| self.name_policy(*id)).collect();
                        format!("isolated for {} by {}", side.direction, policies.join(", "))
                    }
                    _ => denying.join(" and "),
                }
            }
            Outcome::Undetermined => {
                let doubt = sides.into_iter().flat_map(|side| &side.doubts).next();
                doubt.map(ToString::to_string).unwrap_or_default()
            }
        }
    }

    /// A decision about a connection, in sentences.
    pub fn explain(&self, traffic: &Traffic, decision: &Decision) -> Explanation {
        let ends = (self.topology().resolve(&traffic.from), self.topology().resolve(&traffic.to));
        let (from, to) = (self.name_end(&ends.0), self.name_end(&ends.1));
        let port = wanted_port(traffic);
        let outcome = decision.outcome;
        let mut reasons = Vec::new();
        let mut flip = Vec::new();
        for (side, end, other) in
            [(&decision.egress, &ends.0, &ends.1), (&decision.ingress, &ends.1, &ends.0)]
        {
            reasons.extend(self.side(side, end, other, traffic));
            if side.outcome == outcome || outcome == Outcome::Allowed {
                flip.extend(self.flip(side, end, other, traffic));
            }
        }
        if !decision.foreign.is_empty() {
            reasons.push(format!(
                "Other kinds of policy may decide, too, and are not understood here: {}.",
                decision.foreign.join(", ")
            ));
            flip.clear();
        }
        flip.dedup();
        Explanation { headline: format!("{from} to {to} on {port}: {outcome}"), reasons, flip }
    }

    fn side(&self, side: &Side, end: &End, other: &End, traffic: &Traffic) -> Vec<String> {
        let (name, direction) = (self.name_end(end), side.direction);
        let word = match direction {
            Direction::Egress => "Leaving",
            Direction::Ingress => "Entering",
        };
        let mut lines = vec![format!("{word} {name}: {}.", side.outcome)];
        for reason in &side.reasons {
            lines.push(match reason {
                Reason::NoPod => format!("{name} is no pod, so no policy applies to it."),
                Reason::Itself => "A pod can always reach itself.".to_owned(),
                Reason::FromOwnNode => {
                    format!(
                        "{} is {name}'s own node, which is always let in.",
                        self.name_end(other)
                    )
                }
                Reason::Rule(rule) => {
                    let doubted = side.doubts.iter().any(|doubt| doubt.rule() == Some(rule));
                    self.rule_line(rule, other, doubted)
                }
                Reason::NoRule => {
                    let whose = if side.isolated_by.len() == 1 { "its" } else { "their" };
                    format!("{} None of {whose} rules matches.", self.isolation(side, &name))
                }
                Reason::Default if side.isolated_by.is_empty() => {
                    format!("No NetworkPolicy isolates {name} for {direction}, so all is allowed.")
                }
                Reason::Default => "Where nothing else decides, all is allowed.".to_owned(),
            });
        }
        let by_rule = side.reasons.iter().any(|reason| matches!(reason, Reason::Rule(_)));
        if by_rule && !side.isolated_by.is_empty() {
            lines.insert(1, self.isolation(side, &name));
        }
        if side.reasons.contains(&Reason::NoRule) && side.outcome != Outcome::Allowed {
            lines.extend(
                self.misses(side, end, other, traffic)
                    .into_iter()
                    .map(|miss| format!("Nearest: {}.", miss.why)),
            );
        }
        for doubt in &side.doubts {
            let place = doubt.rule().map(|rule| format!(" ({})", self.name_rule(rule)));
            lines.push(format!("Undetermined: {doubt}{}.", place.unwrap_or_default()));
        }
        lines
    }

    fn isolation(&self, side: &Side, name: &str) -> String {
        let policies: Vec<_> = side.isolated_by.iter().map(|id| self.name_policy(*id)).collect();
        format!("{name} is isolated for {} by {}.", side.direction, policies.join(", "))
    }

    fn rule_line(&self, rule: &RuleRef, other: &End, doubted: bool) -> String {
        let (place, other) = (self.name_rule(rule), self.name_end(other));
        let verb = match (rule.action, doubted) {
            (Action::Accept, false) => "allows",
            (Action::Deny, false) => "denies",
            (Action::Pass, false) => "passes on",
            (Action::Accept, true) => "may allow",
            (Action::Deny, true) => "may deny",
            (Action::Pass, true) => "may pass on",
        };
        let how = self.peer_words(rule).map(|how| format!(" by {how}")).unwrap_or_default();
        format!("{place} {verb} {other}{how}.")
    }

    /// What in a rule matched: `from[0]: pods app=web in namespaces team=a`.
    fn peer_words(&self, rule: &RuleRef) -> Option<String> {
        let index = usize::from(rule.peer?);
        let words = match self.policy(rule.policy)? {
            Policy::Network(policy) => {
                let rule = policy.rules(rule.direction)?.get(usize::from(rule.rule))?;
                match rule.peers.as_ref()?.get(index)? {
                    Peer::Block(block) => format!("ipBlock {block}"),
                    Peer::Pods { namespaces: None, pods } => {
                        format!("pods {} of its namespace", pods.clone().unwrap_or_default())
                    }
                    Peer::Pods { namespaces: Some(namespaces), pods: None } => {
                        format!("namespaces {namespaces}")
                    }
                    Peer::Pods { namespaces: Some(namespaces), pods: Some(pods) } => {
                        format!("pods {pods} in namespaces {namespaces}")
                    }
                }
            }
            Policy::Cluster(policy) => {
                let rule = policy.rules(rule.direction).get(usize::from(rule.rule))?;
                miss::cluster_peer(rule.peers.get(index)?)
            }
        };
        Some(format!("{}[{index}]: {words}", rule.direction.peers()))
    }

    fn misses(&self, side: &Side, end: &End, other: &End, traffic: &Traffic) -> Vec<Miss> {
        let mut misses =
            miss::of_rules(self, &side.isolated_by, side.direction, traffic, (end, other));
        if let End::Pod(pod) = end {
            misses.extend(subject::of_subjects(self, *pod, side.direction));
        }
        misses
    }

    /// What would have to change for this direction to come out otherwise.
    fn flip(&self, side: &Side, end: &End, other: &End, traffic: &Traffic) -> Vec<String> {
        let (name, other_name) = (self.name_end(end), self.name_end(other));
        let (port, direction) = (wanted_port(traffic), side.direction);
        let rules = side.reasons.iter().filter_map(|reason| match reason {
            Reason::Rule(rule) => Some(rule),
            _ => None,
        });
        let with = |action: Action| rules.clone().filter(move |rule| rule.action == action);
        match side.outcome {
            Outcome::Denied => {
                let denying: Vec<_> = with(Action::Deny)
                    .map(|rule| format!("To allow it, take away {}.", self.name_rule(rule)))
                    .collect();
                if !denying.is_empty() {
                    return denying;
                }
                let mut lines: Vec<_> = self
                    .misses(side, end, other, traffic)
                    .into_iter()
                    .map(|miss| format!("To allow it, {}.", miss.change))
                    .collect();
                lines.dedup();
                if lines.is_empty() {
                    let preposition = direction.peers();
                    lines.push(format!(
                        "To allow it, add an {direction} rule to one of these policies that \
                         allows {port} {preposition} {other_name}."
                    ));
                }
                lines
            }
            Outcome::Allowed => {
                let accepting: Vec<_> =
                    with(Action::Accept).map(|rule| self.name_rule(rule)).collect();
                match &side.reasons[..] {
                    [Reason::NoPod | Reason::Itself | Reason::FromOwnNode] => Vec::new(),
                    _ if accepting.is_empty() => vec![format!(
                        "To deny it, isolate {name} for {direction}: a NetworkPolicy that selects \
                         it with policyTypes {}, and no rule for {other_name} on {port}.",
                        if direction == Direction::Egress { "[Egress]" } else { "[Ingress]" }
                    )],
                    _ => vec![format!("To deny it, take away {}.", accepting.join(" and "))],
                }
            }
            Outcome::Undetermined => Vec::new(),
        }
    }
}
