//! What the policies say about a case, as owned words that reports carry and read back.

use serde::{Deserialize, Serialize};

use super::{
    cluster_policy::Action,
    compile::Compiled,
    decision::{Decision, Direction, Outcome, Reason, RuleRef, Side},
    miss::{self, Miss, wanted_port},
    subject,
};
use crate::model::{End, Traffic};

/// What the policies say about a connection, or about all that stand behind one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The answer.
    pub outcome: Outcome,
    /// Why, as a clause that a sentence can end with.
    pub because: String,
    /// Who is isolated by whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolated: Vec<Isolation>,
    /// The rules that match, in the order in which they are judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<SpecRule>,
    /// Policies and rules that nearly match, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
    /// Why it can't be told, a word each; empty where it can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// A pod that NetworkPolicies isolate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Isolation {
    /// The pod.
    pub pod: String,
    /// In which direction.
    pub direction: Direction,
    /// By which policies: `NetworkPolicy shop/db`.
    pub policies: Vec<String>,
}

/// A rule that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpecRule {
    /// Its policy: `NetworkPolicy shop/db`.
    pub policy: String,
    /// Which way it looks.
    pub direction: Direction,
    /// Its index in the policy's list of that direction.
    pub index: u16,
    /// Its place in the policy's YAML: `spec.ingress[0]`.
    pub path: String,
    /// What it does; Accept for a NetworkPolicy's.
    pub action: Action,
}

/// The word for a doubt that other kinds of policy cause.
const OTHER_POLICIES: &str = "otherPolicies";

/// The word where the policies could not be read at all.
const UNREADABLE: &str = "unreadable";

impl Spec {
    /// It can't be told, for a reason that isn't any policy's.
    pub fn unknown(word: &str, because: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Undetermined,
            because: because.into(),
            isolated: Vec::new(),
            rules: Vec::new(),
            nearest: Vec::new(),
            doubts: vec![word.to_owned()],
        }
    }

    /// The policies could not be read.
    pub fn unreadable(because: impl Into<String>) -> Self {
        Self::unknown(UNREADABLE, because)
    }

    /// It can't be told for a reason that one sentence tells for all cases: other kinds of
    /// policy may decide, or nothing may be read.
    pub fn is_blind(&self) -> bool {
        self.doubts.iter().any(|doubt| doubt == OTHER_POLICIES || doubt == UNREADABLE)
    }

    /// True where it can't be told.
    pub fn is_undetermined(&self) -> bool {
        self.outcome == Outcome::Undetermined
    }

    /// What is said of several connections of which one will be met: what they agree on.
    pub fn of_any(specs: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut specs = specs.into_iter();
        let first = specs.next()?;
        let other = specs.find(|other| other.outcome != first.outcome);
        Some(match other {
            None => first,
            Some(other) => Self::unknown(
                "endpointsDiffer",
                format!(
                    "the endpoints differ: one is {} ({}), another {} ({})",
                    first.outcome, first.because, other.outcome, other.because
                ),
            ),
        })
    }
}

impl Compiled {
    /// What the policies say about a connection, for a report; without the nearest misses,
    /// which take longer to find.
    pub fn spec(&self, traffic: &Traffic) -> Spec {
        let decision = self.decide(traffic);
        let ends = (self.topology().resolve(&traffic.from), self.topology().resolve(&traffic.to));
        let sides = [(&decision.egress, &ends.0, &ends.1), (&decision.ingress, &ends.1, &ends.0)];
        let isolated = sides.iter().filter(|(side, ..)| !side.isolated_by.is_empty());
        let rules = sides.iter().flat_map(|(side, ..)| rules(side));
        Spec {
            outcome: decision.outcome,
            because: self.because(&decision, traffic, &ends),
            isolated: isolated
                .map(|(side, end, _)| Isolation {
                    pod: self.name_end(end),
                    direction: side.direction,
                    policies: side.isolated_by.iter().map(|id| self.name_policy(*id)).collect(),
                })
                .collect(),
            rules: rules.map(|rule| self.spec_rule(rule)).collect(),
            nearest: Vec::new(),
            doubts: doubts(&decision),
        }
    }

    fn spec_rule(&self, rule: &RuleRef) -> SpecRule {
        SpecRule {
            policy: self.name_policy(rule.policy),
            direction: rule.direction,
            index: rule.rule,
            path: rule.path(),
            action: rule.action,
        }
    }

    /// The clause.
    fn because(&self, decision: &Decision, traffic: &Traffic, ends: &(End, End)) -> String {
        let sides = [(&decision.egress, &ends.0), (&decision.ingress, &ends.1)];
        match decision.outcome {
            _ if !decision.foreign.is_empty() => "other kinds of policy may decide".to_owned(),
            Outcome::Allowed => {
                let accepting: Vec<String> = sides
                    .iter()
                    .flat_map(|(side, _)| rules(side))
                    .filter(|rule| rule.action == Action::Accept)
                    .map(|rule| self.name_rule(rule))
                    .collect();
                if accepting.is_empty() {
                    self.nobody_isolates(&sides)
                } else {
                    format!("{} allows it", accepting.join(" and "))
                }
            }
            Outcome::Denied => {
                let denied = sides.iter().filter(|(side, _)| side.outcome == Outcome::Denied);
                let each = denied.map(|(side, end)| self.denial(side, end, traffic, ends));
                each.collect::<Vec<_>>().join("; and ")
            }
            Outcome::Undetermined => {
                let doubts = sides.iter().flat_map(|(side, _)| &side.doubts);
                let mut each: Vec<String> = doubts
                    .map(|doubt| match doubt.rule() {
                        Some(rule) => format!("{doubt} ({})", self.name_rule(rule)),
                        None => doubt.to_string(),
                    })
                    .collect();
                each.dedup();
                each.join("; ")
            }
        }
    }

    /// That no policy has a say.
    fn nobody_isolates(&self, sides: &[(&Side, &End)]) -> String {
        let open: Vec<String> = sides
            .iter()
            .filter(|(side, _)| side.reasons.contains(&Reason::Default))
            .map(|(side, end)| format!("{} for {}", self.name_end(end), side.direction))
            .collect();
        if open.is_empty() {
            return "no policy has a say".to_owned();
        }
        format!("no policy isolates {}", open.join(", nor "))
    }

    fn denial(&self, side: &Side, end: &End, traffic: &Traffic, (from, to): &(End, End)) -> String {
        let denying: Vec<String> = rules(side)
            .filter(|rule| rule.action == Action::Deny)
            .map(|rule| self.name_rule(rule))
            .collect();
        if !denying.is_empty() {
            return format!("{} denies it", denying.join(" and "));
        }
        let policies: Vec<String> =
            side.isolated_by.iter().map(|id| self.name_policy(*id)).collect();
        let (other, way) = match side.direction {
            Direction::Egress => (to, "lets it out to"),
            Direction::Ingress => (from, "lets in"),
        };
        let whose = if policies.len() == 1 { "none of its rules" } else { "no rule of theirs" };
        format!(
            "{} is isolated for {} by {}, and {whose} {way} {} on {}",
            self.name_end(end),
            side.direction,
            policies.join(", "),
            self.name_end(other),
            wanted_port(traffic)
        )
    }

    /// What nearly made it otherwise, the nearest first: rules that nearly allow what is
    /// denied, and policies that nearly isolate what is allowed.
    pub fn nearest(&self, traffic: &Traffic) -> Vec<String> {
        let decision = self.decide(traffic);
        let ends = (self.topology().resolve(&traffic.from), self.topology().resolve(&traffic.to));
        let sides = [(&decision.egress, &ends.0, &ends.1), (&decision.ingress, &ends.1, &ends.0)];
        let mut misses = Vec::new();
        for (side, end, other) in sides {
            match (decision.outcome, side.outcome) {
                (Outcome::Denied, Outcome::Denied) if side.reasons.contains(&Reason::NoRule) => {
                    misses.extend(miss::of_rules(
                        self,
                        &side.isolated_by,
                        side.direction,
                        traffic,
                        (end, other),
                    ));
                    misses.extend(self.unselecting(end, side.direction));
                }
                (Outcome::Allowed, _) if side.isolated_by.is_empty() => {
                    misses.extend(self.unselecting(end, side.direction));
                }
                _ => {}
            }
        }
        misses.sort();
        let mut told: Vec<String> = misses.into_iter().map(|miss| miss.why).collect();
        told.dedup();
        told.truncate(miss::MOST);
        told
    }

    fn unselecting(&self, end: &End, direction: Direction) -> Vec<Miss> {
        match end {
            End::Pod(pod) => subject::of_subjects(self, *pod, direction),
            End::Address(_) | End::Host(_) => Vec::new(),
        }
    }
}

fn rules(side: &Side) -> impl Iterator<Item = &RuleRef> {
    side.reasons.iter().filter_map(|reason| match reason {
        Reason::Rule(rule) => Some(rule),
        _ => None,
    })
}

fn doubts(decision: &Decision) -> Vec<String> {
    if decision.outcome != Outcome::Undetermined {
        return Vec::new();
    }
    let foreign = (!decision.foreign.is_empty()).then_some(OTHER_POLICIES);
    let sides = [&decision.egress, &decision.ingress];
    let own = sides.into_iter().flat_map(|side| &side.doubts).map(super::Doubt::word);
    let mut words: Vec<String> = foreign.into_iter().chain(own).map(str::to_owned).collect();
    words.dedup();
    words
}
