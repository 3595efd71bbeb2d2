//! Lies that a broken CNI or network tempts to.

use netproof::verdict::{ControlKind, Observation, Reason, Verdict};

use crate::{sandboxed, support::Finished};

const STAGE: &str = "tests/suites/stage.yaml";
const WRONG_ALLOW: &str = "tests/suites/wrong-allow.yaml";
const SHOP: &str = "suites/shop.yaml";

fn faulty(fault: &str, suite: &str) -> Finished {
    sandboxed(&["--fault", fault, suite])
}

fn verdict(finished: &Finished, case: &str) -> (Verdict, Reason) {
    let judgement = finished.outcome(case).judgement;
    (judgement.verdict, judgement.reason)
}

#[test]
fn a_slow_policy_passes_a_denial_in_time_and_no_wrong_allow() {
    // Long enough for pods to be ready before it bites, however busy the machine is.
    let finished = faulty("delay=5s", WRONG_ALLOW);
    assert_eq!(verdict(&finished, "/deny/"), (Verdict::Pass, Reason::Dropped));
    let outcome = finished.outcome("/deny/");
    assert!(outcome.latency.is_some_and(|latency| !latency.is_zero()), "{:?}", outcome.latency);
    assert!(matches!(outcome.history[0].seen, Observation::Connected { .. }), "open before");
    let (late, reason) = verdict(&finished, "/deny-at-once/");
    assert_eq!(late, Verdict::Fail, "{reason}");
    assert!(matches!(reason, Reason::Connected { .. }), "{reason}");
    let blocked = Reason::Blocked { seen: Observation::TimedOut };
    assert_eq!(verdict(&finished, "/allow/"), (Verdict::Fail, blocked));
    assert_eq!(finished.code(), Some(1));
}

#[test]
fn a_rejected_connection_is_a_denial_and_says_so() {
    let finished = faulty("reject", WRONG_ALLOW);
    let rejected = Reason::Rejected { seen: Observation::Refused };
    assert_eq!(verdict(&finished, "/deny/"), (Verdict::Pass, rejected));
    let refused = Reason::Blocked { seen: Observation::Refused };
    assert_eq!(verdict(&finished, "/allow/"), (Verdict::Fail, refused));
}

fn is_node_path(reason: &Reason) -> bool {
    match reason {
        Reason::PathDown { control, .. } | Reason::ControlNotUp { control, .. } => {
            *control == ControlKind::NodePath
        }
        _ => false,
    }
}

#[test]
fn a_dead_network_is_never_called_policy() {
    let finished = faulty("dead-path", SHOP);
    for (case, expected) in [
        ("/sql-api-database/", Verdict::Fail),
        ("/http-database-api/", Verdict::Inconclusive),
        ("/metrics-frontend-worker/", Verdict::Inconclusive),
    ] {
        let (verdict, reason) = verdict(&finished, case);
        assert_eq!(verdict, expected, "{case} {reason}");
        assert!(is_node_path(&reason), "{case} {reason}");
    }
    // frontend and api are on one node, between whose pods nothing is dead.
    assert_eq!(verdict(&finished, "/http-api-frontend/"), (Verdict::Pass, Reason::Dropped));
}

#[test]
fn a_packet_filter_that_drops_one_port_is_never_called_policy() {
    let finished = faulty("drop-port=5432/tcp", SHOP);
    for (case, expected) in [
        ("/sql-api-database/", Verdict::Fail),
        ("/sql-worker-database/", Verdict::Fail),
        ("/sql-frontend-database/", Verdict::Inconclusive),
    ] {
        let (verdict, reason) = verdict(&finished, case);
        assert_eq!(verdict, expected, "{case} {reason}");
        assert!(is_node_path(&reason), "{case} {reason}");
        assert!(reason.to_string().contains("5432/tcp"), "{case} {reason}");
    }
    for case in ["/http-database-api/", "/metrics-frontend-worker/"] {
        assert_eq!(verdict(&finished, case), (Verdict::Pass, Reason::Dropped), "{case}");
    }
}

#[test]
fn lost_packets_change_no_verdict() {
    let finished = faulty("loss=10%", SHOP);
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    let finished = faulty("loss=10%", WRONG_ALLOW);
    assert_eq!(verdict(&finished, "/deny/").0, Verdict::Pass);
    assert_eq!(verdict(&finished, "/allow/").0, Verdict::Fail);
}

#[test]
fn a_service_without_endpoints_denies_nobody() {
    let finished = sandboxed(&[STAGE]);
    let (verdict, reason) = verdict(&finished, "/no-endpoints/");
    assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
    let nowhere = |seen: &Observation| matches!(seen, Observation::NoDestination { .. });
    assert!(matches!(&reason, Reason::NothingSeen { seen } if nowhere(seen)), "{reason}");
}

#[test]
fn an_answer_by_chance_allows_nobody() {
    let finished = sandboxed(&["tests/suites/shared-service.yaml"]);
    let (allow, reason) = verdict(&finished, "/allow/");
    assert_eq!(allow, Verdict::Fail, "{reason}");
    let named = matches!(&reason, Reason::SharedService { with, .. } if with.contains("intruder"));
    assert!(named, "{reason}");
    assert_eq!(verdict(&finished, "/deny/"), (Verdict::Pass, Reason::Dropped));
}

#[test]
fn one_backend_that_answers_does_not_speak_for_the_other() {
    let finished = sandboxed(&["tests/suites/half-service.yaml"]);
    let blocked = Reason::Blocked { seen: Observation::TimedOut };
    assert_eq!(verdict(&finished, "/allow/"), (Verdict::Fail, blocked));
    assert_eq!(verdict(&finished, "/deny/").0, Verdict::Fail);
}
