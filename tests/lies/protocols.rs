//! Lies about what is spoken once the network has let somebody through.

use netproof::verdict::{Reason, Verdict};

use crate::{
    sandboxed,
    support::{Finished, run},
};

fn sandbox(suite: &str) -> Finished {
    sandboxed(&[suite])
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

#[test]
fn what_is_spoken_is_judged_apart_from_what_is_let_through() {
    let finished = sandbox("tests/suites/protocols.yaml");
    for case in [
        "/tls-trusted/443-http/",
        "/tls-only/443/",
        "/tls-unverified/443/",
        "/tls-unverified/443-http/",
        "/lookup/53-udp/",
        "/lookup/53/",
        "/no-such-name/53-udp/",
        "/no-such-name/53/",
        "/echo/",
        "/echo-bytes/",
        "/ping-client-server/icmp/",
        "/ping-client-internet/icmp/",
    ] {
        let (allowed, reason) = verdict(&finished, case);
        assert_eq!(allowed, Verdict::Pass, "{case} {reason}");
    }
    for case in [
        "/tls-closed/",
        "/dns-closed/53-udp/",
        "/dns-closed/53/",
        "/echo-closed/",
        "/ping-closed/",
        "/ping-out-closed/",
    ] {
        assert_eq!(verdict(&finished, case), (Verdict::Pass, Reason::Dropped), "{case}");
    }
    for case in
        ["/tls-denied/", "/dns-denied/53-udp/", "/dns-denied/53/", "/echo-denied/", "/ping-denied/"]
    {
        let (denied, reason) = verdict(&finished, case);
        assert_eq!(denied, Verdict::Fail, "{case} {reason}");
        assert!(matches!(reason, Reason::Connected { .. }), "{case} {reason}");
    }
    for (case, wanted, found) in [
        ("/tls-unknown/", "TLS", "UnknownIssuer"),
        ("/tls-misnamed/", "TLS", "not valid for name"),
        ("/tls-none/", "TLS", "nothing was said within"),
        ("/other-answer/", "DNS with 10.96.0.1", "DNS NXDOMAIN"),
        ("/no-dns/", "DNS", ""),
        ("/echo-otherwise/", "a datagram with pong", "ping"),
    ] {
        let (answered, reason) = verdict(&finished, case);
        assert_eq!(answered, Verdict::Fail, "{case} {reason}");
        let Reason::OtherAnswer { wanted: asked, found: came } = &reason else {
            panic!("{case} {reason}")
        };
        assert!(asked == wanted && came.contains(found), "{case} {reason}");
    }
    // Where a kernel has SCTP, it is asked; elsewhere nothing is claimed about it.
    let has_sctp = std::path::Path::new("/proc/net/sctp").exists();
    for case in ["/sctp/", "/sctp-closed/"] {
        let (asked, reason) = verdict(&finished, case);
        let expected = if has_sctp { Verdict::Pass } else { Verdict::NotRun };
        assert_eq!(asked, expected, "{case} {reason}");
        assert!(has_sctp || reason.to_string().contains("no SCTP"), "{reason}");
    }
}

#[test]
fn echoes_are_asked_for_in_both_families() {
    let finished = run(&[
        "run",
        "--sandbox",
        "--ip-family",
        "dual",
        "--output",
        "json",
        "tests/suites/ping.yaml",
    ]);
    for family in ["ipv4", "ipv6"] {
        let (open, reason) = verdict(&finished, &format!("/open/icmp/{family}"));
        assert_eq!(open, Verdict::Pass, "{family} {reason}");
        let closed = verdict(&finished, &format!("/closed/icmp/{family}"));
        assert_eq!(closed, (Verdict::Pass, Reason::Dropped), "{family}");
    }
}
