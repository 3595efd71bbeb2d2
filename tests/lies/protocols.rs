//! Lies about what is spoken once the network has let somebody through.

use netproof::verdict::{Reason, Verdict};

use crate::support::{Finished, run};

fn sandbox(suite: &str) -> Finished {
    run(&["run", "--sandbox", "--output", "json", suite])
}

fn verdict(finished: &Finished, case: &str) -> (Verdict, Reason) {
    let judgement = finished.outcome(case).judgement;
    (judgement.verdict, judgement.reason)
}

fn otherwise(wanted: &str, found: &str) -> Reason {
    Reason::OtherAnswer { wanted: wanted.to_owned(), found: found.to_owned() }
}

/// L5.
#[test]
fn an_application_that_refuses_is_no_policy_that_denies() {
    let finished = sandbox("tests/suites/answers.yaml");
    for status in [401, 404, 500] {
        let (denied, reason) = verdict(&finished, &format!("/deny-{status}/"));
        assert_eq!(denied, Verdict::Fail, "{reason}");
        let by = format!("an application (HTTP {status})");
        assert_eq!(reason, Reason::Connected { by });
    }
    assert_eq!(verdict(&finished, "/any-status/").0, Verdict::Pass);
    assert_eq!(verdict(&finished, "/asked/").0, Verdict::Pass);
    let wrong = (Verdict::Fail, otherwise("HTTP 200", "HTTP 403"));
    assert_eq!(verdict(&finished, "/otherwise/"), wrong);
}

#[test]
fn an_answer_that_was_not_asked_for_is_still_a_connection() {
    let finished = sandbox("tests/suites/http.yaml");
    assert_eq!(verdict(&finished, "/asked/").0, Verdict::Pass);
    let (verdict_of, reason) = verdict(&finished, "/otherwise/");
    assert_eq!(verdict_of, Verdict::Fail);
    assert_eq!(reason, self::otherwise("HTTP 404", "HTTP 200"));
    let (denied, reason) = verdict(&finished, "/not-denied/");
    assert_eq!(denied, Verdict::Fail);
    assert!(matches!(reason, Reason::Connected { .. }), "{reason}");
    assert_eq!(verdict(&finished, "/denied/"), (Verdict::Pass, Reason::Dropped));
}
