//! The table "Why it failed", row by row.

use super::{super::ControlKind, *};
use crate::model::Connectivity::{Allowed, Blocked};

fn spec(outcome: Outcome) -> Spec {
    Spec {
        outcome,
        because: "spec.ingress[0] of NetworkPolicy shop/db allows it".to_owned(),
        isolated: Vec::new(),
        rules: Vec::new(),
        nearest: vec!["NetworkPolicy shop/x selects no pod".to_owned()],
        doubts: Vec::new(),
    }
}

fn reached() -> Reason {
    Reason::Connected { by: "db".to_owned() }
}

fn blocked() -> Reason {
    Reason::Blocked { seen: Observation::TimedOut }
}

#[test]
fn intent_spec_and_wire_together_name_the_cause() {
    let answered = || Reason::Answered { by: "db".to_owned() };
    let path = || Reason::PathDown { control: ControlKind::NodePath, detail: String::new() };
    let flapping = || Reason::Flapping { changes: 2 };
    let wrong = || Reason::WrongEndpoint { by: "x".to_owned(), meant: "db".to_owned() };
    use CauseKind::{BlockedOtherwise, CniBlocks, NotEnforced, PolicyAllows, PolicyDenies};
    use Outcome::Denied;
    use Verdict::{Fail, Inconclusive, Pass};
    for (expect, told, verdict, reason, expected) in [
        (Blocked, Denied, Fail, reached(), Some(NotEnforced)),
        (Blocked, Outcome::Allowed, Fail, reached(), Some(PolicyAllows)),
        (Allowed, Denied, Fail, blocked(), Some(PolicyDenies)),
        (Allowed, Outcome::Allowed, Fail, blocked(), Some(CniBlocks)),
        (Blocked, Outcome::Undetermined, Fail, reached(), Some(CauseKind::Undetermined)),
        (Allowed, Outcome::Undetermined, Fail, blocked(), Some(CauseKind::Undetermined)),
        (Blocked, Outcome::Allowed, Pass, Reason::Dropped, Some(BlockedOtherwise)),
        (Allowed, Denied, Pass, answered(), Some(NotEnforced)),
        (Blocked, Outcome::Undetermined, Pass, Reason::Dropped, Some(CauseKind::Undetermined)),
        (Blocked, Denied, Pass, Reason::Dropped, None),
        (Allowed, Outcome::Allowed, Pass, answered(), None),
        (Blocked, Denied, Fail, flapping(), Some(NotEnforced)),
        (Allowed, Outcome::Allowed, Fail, flapping(), Some(CniBlocks)),
        // What isn't policy's doing has no policy for a cause.
        (Allowed, Outcome::Allowed, Fail, path(), None),
        (Allowed, Denied, Fail, wrong(), None),
        (Blocked, Denied, Inconclusive, Reason::NoControls, None),
    ] {
        let name = format!("{expect} {told} {reason}");
        let found = cause(expect, &Judgement { verdict, reason }, None, spec(told));
        assert_eq!(found.map(|cause| cause.kind), expected, "{name}");
    }
}

#[test]
fn a_bare_handshake_accuses_nobody() {
    let seen = Observation::Connected { by: AnsweredBy::Nobody };
    let judgement = Judgement { verdict: Verdict::Fail, reason: reached() };
    let found = cause(Blocked, &judgement, Some(&seen), spec(Outcome::Denied)).expect("a cause");
    assert_eq!(found.kind, CauseKind::Undetermined);
    assert!(found.to_string().contains("may be a proxy's"), "{found}");
}

#[test]
fn what_is_said_once_is_not_said_for_a_claim_that_holds() {
    let blind = Spec::unknown("otherPolicies", "other kinds of policy may decide");
    let judge = |verdict, reason| {
        cause(Blocked, &Judgement { verdict, reason }, None, blind.clone()).map(|cause| cause.kind)
    };
    assert_eq!(judge(Verdict::Pass, Reason::Dropped), None);
    assert_eq!(judge(Verdict::Fail, reached()), Some(CauseKind::Undetermined));
}

#[test]
fn a_cause_reads_as_a_sentence() {
    let judgement = Judgement { verdict: Verdict::Fail, reason: reached() };
    let found = cause(Blocked, &judgement, None, spec(Outcome::Allowed)).expect("a cause");
    assert_eq!(
        found.to_string(),
        "your policies allow it: spec.ingress[0] of NetworkPolicy shop/db allows it; nearest: \
         NetworkPolicy shop/x selects no pod"
    );
}
