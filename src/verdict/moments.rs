//! The rules for other moments than rest: a connection from before a change, and a pod's
//! first instants.

use std::time::Duration;

use super::{
    claim::{Claim, Intended},
    control::Controls,
    judgement::{Judgement, Reason, Verdict},
    observation::{AnsweredBy, Observation},
};
use crate::{model::Connectivity, suite::Survival};

/// Judges what became of an established connection. None where the general rule says it
/// all: nothing was seen, or somebody else answered.
pub(super) fn judge_established(
    claim: &Claim,
    survival: Survival,
    seen: &Observation,
    controls: &Controls,
) -> Option<Judgement> {
    match seen {
        Observation::Connected { by: AnsweredBy::Agent { identity, .. } } => {
            let intended = match &claim.intended {
                Intended::Agents(meant) => meant.contains(identity),
                Intended::Foreign => false,
            };
            let verdict = match survival {
                Survival::Survives | Survival::Report => Verdict::Pass,
                Survival::Cut => Verdict::Fail,
            };
            intended.then(|| Judgement::new(verdict, Reason::Survived { by: identity.clone() }))
        }
        Observation::TimedOut
        | Observation::Refused
        | Observation::Prohibited { .. }
        | Observation::Reset => {
            if survival == Survival::Survives
                && let Some((control, detail)) = controls.path_down()
            {
                let reason = Reason::PathDown { control, detail: detail.to_owned() };
                return Some(Judgement::new(Verdict::Fail, reason));
            }
            if let Some(reason) = controls.unproven() {
                return Some(Judgement::new(Verdict::Inconclusive, reason));
            }
            let verdict = match survival {
                Survival::Survives => Verdict::Fail,
                Survival::Cut | Survival::Report => Verdict::Pass,
            };
            Some(Judgement::new(verdict, Reason::Cut { seen: seen.clone() }))
        }
        _ => None,
    }
}

/// What was seen of a pod's first instants: one destination, or one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstInstants {
    /// Dials that were made and came to an end.
    pub attempts: u32,
    /// From the first dial to the end of the last.
    pub watched: Duration,
    /// From the first dial to the first that connected.
    pub first: Option<Duration>,
    /// From the first dial to the last that connected.
    pub last: Option<Duration>,
    /// Who answered.
    pub by: Option<AnsweredBy>,
}

/// Judges a pod's first instants.
///
/// A connection is believed as it is. That there was none means something only because the
/// same claim passed at rest, with its controls: then the way was there and the listener
/// too. An allow may come late: Kubernetes promises isolation from the first instant, and
/// no more.
pub fn judge_startup(
    expect: Connectivity,
    intended: &Intended,
    seen: &FirstInstants,
    at_rest: Option<&Judgement>,
) -> Judgement {
    if let (Some(by), Some(first), Some(last)) = (&seen.by, seen.first, seen.last) {
        let meant = match (intended, by) {
            (Intended::Agents(meant), AnsweredBy::Agent { identity, .. }) => {
                meant.contains(identity)
            }
            (Intended::Agents(_), _) => false,
            (Intended::Foreign, by) => !matches!(by, AnsweredBy::Agent { .. }),
        };
        return match (expect, meant) {
            (Connectivity::Blocked, true) => {
                Judgement::new(Verdict::Fail, Reason::OpenAtFirst { from: first, to: last })
            }
            (Connectivity::Allowed, true) => {
                Judgement::new(Verdict::Pass, Reason::OpenAfter { after: first })
            }
            (_, false) => {
                let reason =
                    Reason::WrongEndpoint { by: by.to_string(), meant: "that peer".to_owned() };
                let fails = expect == Connectivity::Allowed;
                Judgement::new(if fails { Verdict::Fail } else { Verdict::Inconclusive }, reason)
            }
        };
    }
    if seen.attempts == 0 {
        let message = "the new pod made no attempt in its first instants".to_owned();
        let seen = Observation::AgentFailed { message };
        return Judgement::new(Verdict::Inconclusive, Reason::NothingSeen { seen });
    }
    match at_rest {
        Some(at_rest) if at_rest.verdict == Verdict::Pass => {
            let reason = Reason::ClosedFromStart { attempts: seen.attempts, watched: seen.watched };
            Judgement::new(Verdict::Pass, reason)
        }
        at_rest => {
            let because = at_rest.map_or_else(
                || "the claim at rest was not asked".to_owned(),
                |at_rest| format!("the claim at rest: {} ({})", at_rest.verdict, at_rest.reason),
            );
            Judgement::new(Verdict::Inconclusive, Reason::NotSettled { because })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::verdict::ControlState;

    fn agent(identity: &str) -> AnsweredBy {
        let saw = "10.0.0.1:20000".parse().unwrap();
        AnsweredBy::Agent { identity: identity.to_owned(), saw }
    }

    fn meant() -> Intended {
        Intended::Agents(Arc::new(["b".to_owned()].into()))
    }

    #[test]
    fn a_connection_survives_or_is_cut_as_it_is_seen() {
        use Survival::{Cut, Report, Survives};
        let kind = super::super::ControlKind::Listener;
        let up = Controls::from_iter([(kind, ControlState::Up)]);
        let down = Controls::from_iter([(kind, ControlState::Down { detail: "x".into() })]);
        let path = super::super::ControlKind::NodePath;
        let path = Controls::from_iter([(path, ControlState::Down { detail: "x".into() })]);
        let answered = Observation::Connected { by: agent("b") };
        let other = Observation::Connected { by: agent("c") };
        for (survival, seen, controls, expected, why) in [
            (Survives, &answered, &down, Some(Verdict::Pass), "an answer needs no control"),
            (Cut, &answered, &up, Some(Verdict::Fail), "it still answers"),
            (Report, &answered, &up, Some(Verdict::Pass), "either is told"),
            (Report, &Observation::TimedOut, &up, Some(Verdict::Pass), "either is told"),
            (Survives, &other, &up, None, "somebody else's answer: the rule"),
            (Cut, &other, &up, None, "somebody else's answer: the rule"),
            (Survives, &Observation::TimedOut, &up, Some(Verdict::Fail), "it is cut"),
            (Cut, &Observation::TimedOut, &up, Some(Verdict::Pass), "as claimed"),
            (Cut, &Observation::Reset, &up, Some(Verdict::Pass), "a reset cuts too"),
            (Cut, &Observation::TimedOut, &down, Some(Verdict::Inconclusive), "dead listener"),
            (Cut, &Observation::TimedOut, &path, Some(Verdict::Inconclusive), "dead path"),
            (Survives, &Observation::TimedOut, &path, Some(Verdict::Fail), "dead path"),
            (
                Report,
                &Observation::TimedOut,
                &Controls::default(),
                Some(Verdict::Inconclusive),
                "no controls",
            ),
            (Cut, &Observation::LocalError { message: String::new() }, &up, None, "the rule"),
        ] {
            let claim = Claim {
                expect: Connectivity::Blocked,
                intended: meant(),
                evidence: Default::default(),
                denial: None,
                answer: None,
                meshed: false,
                strangers: Default::default(),
                established: Some(survival),
            };
            let found = judge_established(&claim, survival, seen, controls);
            assert_eq!(found.map(|found| found.verdict), expected, "{survival:?} {seen} {why}");
        }
    }

    #[test]
    fn first_instants_are_closed_only_where_rest_proves_it() {
        use Connectivity::{Allowed, Blocked};
        let at = Duration::from_millis;
        let open = FirstInstants {
            attempts: 100,
            watched: at(5_000),
            first: Some(at(3)),
            last: Some(at(1_900)),
            by: Some(agent("b")),
        };
        let closed = FirstInstants { attempts: 100, watched: at(5_000), ..Default::default() };
        let pass = Judgement::new(Verdict::Pass, Reason::Dropped);
        let fail = Judgement::new(Verdict::Fail, Reason::NoControls);
        for (expect, seen, at_rest, expected, why) in [
            (Blocked, &open, Some(&pass), Verdict::Fail, "open for 1.9 s"),
            (Blocked, &closed, Some(&pass), Verdict::Pass, "closed from the start"),
            (Blocked, &closed, Some(&fail), Verdict::Inconclusive, "rest proves nothing"),
            (Blocked, &closed, None, Verdict::Inconclusive, "rest was not asked"),
            (Blocked, &FirstInstants::default(), Some(&pass), Verdict::Inconclusive, "no dial"),
            (Allowed, &open, None, Verdict::Pass, "reached"),
            (Allowed, &closed, Some(&pass), Verdict::Pass, "a late allow conforms"),
        ] {
            let found = judge_startup(expect, &meant(), seen, at_rest);
            assert_eq!(found.verdict, expected, "{why}: {}", found.reason);
        }
        let told = judge_startup(Blocked, &meant(), &open, None).reason;
        assert_eq!(told, Reason::OpenAtFirst { from: at(3), to: at(1_900) });
        let by = |by| FirstInstants { by: Some(by), ..open.clone() };
        let (ours, foreign) = (meant(), Intended::Foreign);
        for (expect, intended, by, expected, why) in [
            (Blocked, &ours, by(agent("c")), Verdict::Inconclusive, "another agent"),
            (Allowed, &ours, by(agent("c")), Verdict::Fail, "another agent"),
            (Allowed, &ours, by(AnsweredBy::Nobody), Verdict::Fail, "an agent speaks"),
            (Blocked, &foreign, by(agent("b")), Verdict::Inconclusive, "an agent for a foreigner"),
            (Blocked, &foreign, by(AnsweredBy::Nobody), Verdict::Fail, "a handshake"),
        ] {
            let found = judge_startup(expect, intended, &by, None);
            assert_eq!(found.verdict, expected, "{expect}, {why}: {}", found.reason);
        }
    }
}
