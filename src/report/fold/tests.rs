//! What a run came to, and the exit code of each way in which it can end.

use super::*;
use crate::{
    event::Direction,
    model::Connectivity::{Allowed, Blocked},
    report::samples::*,
    verdict::Judgement,
};

fn fold(events: Vec<Event>) -> Report {
    records(events).into_iter().collect()
}

/// A run of one case that ended so.
fn one(outcome: Option<CaseOutcome>, more: Vec<Event>) -> Vec<Event> {
    let case = info("web", "api", Blocked);
    let mut events = vec![started(vec![case.clone()])];
    events.extend(outcome.map(|outcome| judged(&case, outcome)));
    events.extend(more);
    events
}

fn with(verdict: Verdict) -> CaseOutcome {
    CaseOutcome { judgement: Judgement { verdict, reason: Reason::NoControls }, ..passed() }
}

#[test]
fn every_ending_has_its_exit_code() {
    use Verdict::{Fail, Inconclusive, NotRun, Pass};
    let done = || vec![finished(true)];
    let signal = || Event::Interrupted { by: Interruption::Signal };
    let deadline = || Event::Interrupted { by: Interruption::Deadline };
    let stopped = |touched| Event::Aborted { message: "stopped".to_owned(), remedy: None, touched };
    let broken = || stopped(true);
    let canaried = |states, outcome: CaseOutcome| {
        let mut more = canaries(states);
        more.extend(done());
        one(Some(outcome), more)
    };
    let never = || CanaryState::NeverReached { seen: Observation::TimedOut };
    use crate::event::CanaryState;
    let rows: Vec<(&str, Vec<Event>, u8)> = vec![
        ("all passed", one(Some(with(Pass)), done()), 0),
        ("a claim failed", one(Some(with(Fail)), done()), 1),
        ("could not tell", one(Some(with(Inconclusive)), done()), 3),
        ("all that was asked isn't there", one(Some(with(NotRun)), done()), 2),
        ("no case is left by the filter", vec![started(vec![]), finished(true)], 2),
        ("a case vanished", one(None, done()), 3),
        ("the end is missing", one(Some(with(Pass)), vec![]), 3),
        ("the runner says that it is incomplete", one(Some(with(Pass)), vec![finished(false)]), 3),
        ("stopped before anything was known", vec![stopped(false)], 3),
        ("refused with nothing touched", one(None, vec![stopped(false), finished(false)]), 2),
        ("no record at all", vec![], 3),
        ("stopped with nothing judged", one(None, vec![broken(), finished(false)]), 3),
        ("stopped with an empty plan", vec![started(vec![]), broken()], 3),
        ("a failure outweighs being stopped", one(Some(with(Fail)), vec![broken()]), 1),
        ("cut by the deadline", one(None, vec![deadline(), finished(false)]), 3),
        ("cut by the deadline, not run", one(Some(with(NotRun)), vec![deadline()]), 3),
        ("a failure outweighs the deadline", one(Some(with(Fail)), vec![deadline()]), 1),
        ("a signal outweighs all", one(Some(with(Fail)), vec![deadline(), signal()]), 130),
        ("a signal after all passed", one(Some(with(Pass)), vec![signal(), finished(true)]), 130),
        ("enforced", canaried([proven(), proven(), proven(), proven()], with(Pass)), 0),
        ("nothing enforced", canaried([open(), open(), open(), open()], with(Pass)), 4),
        ("nothing enforced, a failure", canaried([open(), open(), open(), open()], with(Fail)), 4),
        (
            "one node enforces nothing",
            canaried([open(), open(), proven(), proven()], with(Fail)),
            4,
        ),
        (
            "all decided are open there",
            canaried([open(), never(), proven(), proven()], with(Pass)),
            4,
        ),
        (
            "partly enforced, all passed",
            canaried([proven(), open(), proven(), open()], with(Pass)),
            4,
        ),
        (
            "partly enforced, a failure",
            canaried([proven(), open(), proven(), open()], with(Fail)),
            1,
        ),
        (
            "partly, could not tell",
            canaried([proven(), open(), proven(), proven()], with(Inconclusive)),
            4,
        ),
        (
            "never reached, nothing relied on it",
            canaried([never(), never(), never(), never()], with(Pass)),
            0,
        ),
        (
            "fail-fast",
            one(Some(with(Fail)), vec![Event::Interrupted { by: Interruption::FailFast }]),
            1,
        ),
    ];
    for (what, events, expected) in rows {
        assert_eq!(fold(events).exit_code(), expected, "{what}");
    }
}

#[test]
fn cases_are_counted_once_and_marks_apart() {
    let handshake = CaseOutcome {
        judgement: Judgement { verdict: Verdict::Pass, reason: Reason::HandshakeOnly },
        ..passed()
    };
    let unproven = CaseOutcome {
        judgement: Judgement {
            verdict: Verdict::Pass,
            reason: Reason::CauseUnproven { because: "no control".to_owned() },
        },
        ..dropped()
    };
    let cases: Vec<_> =
        ["a", "b", "c", "d", "e", "f"].iter().map(|from| info(from, "z", Allowed)).collect();
    let outcomes = [
        handshake,
        unproven,
        with(Verdict::Fail),
        with(Verdict::Inconclusive),
        with(Verdict::NotRun),
    ];
    let mut events = vec![started(cases.clone())];
    events.extend(cases.iter().zip(outcomes).map(|(case, outcome)| judged(case, outcome)));
    assert_eq!(
        fold(events).counts(),
        Counts {
            cases: 6,
            passed: 2,
            failed: 1,
            inconclusive: 1,
            not_run: 2,
            unproven: 1,
            handshake_only: 1,
            proving_nothing: 0,
            unjudged: 1,
        }
    );
    let hollow = fold(unenforced()).counts();
    assert_eq!((hollow.passed, hollow.proving_nothing), (1, 1), "no pass proves anything there");
}

#[test]
fn a_canary_tried_again_counts_by_its_last_word() {
    let events =
        [open(), proven()].map(|state| canary("node-1", Direction::Ingress, state)).to_vec();
    assert_eq!(fold(events).enforcement(), Enforcement::Proven { slowest: ms(12) });
}
