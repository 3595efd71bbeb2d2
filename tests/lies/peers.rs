//! Lies about whom a rule lets in: a peer that source NAT hides, and peers that a CNI learns
//! of later than it isolates.

use netproof::{
    event::{CaseOutcome, Event},
    verdict::{CauseKind, Observation, Reason, Verdict},
};

use crate::{
    sandboxed,
    support::{Finished, run},
};

const MASQUERADED: &str = "tests/suites/masqueraded.yaml";
const LATE: &str = "tests/suites/late-allows.yaml";

fn masqueraded(more: &[&str]) -> Finished {
    run(&[&["run", "--sandbox", "--fault", "masquerade", MASQUERADED], more].concat())
}

fn cause(outcome: &CaseOutcome) -> Option<(CauseKind, String)> {
    let told = |cause: &netproof::verdict::Cause| (cause.kind, cause.to_string());
    outcome.cause.as_ref().map(told)
}

/// L43.
#[test]
fn a_peer_that_source_nat_hides_is_told_by_the_address_that_was_seen() {
    let finished = masqueraded(&["--ip-family", "dual", "--output", "json"]);
    let blocked = Reason::Blocked { seen: Observation::TimedOut };
    for (port, family, node) in [
        ("tcp", "ipv4", "172.18.0.2"),
        ("udp", "ipv4", "172.18.0.2"),
        ("tcp", "ipv6", "fd00:172:18::2"),
        ("udp", "ipv6", "fd00:172:18::2"),
    ] {
        let outcome = |case: &str| finished.outcome(&format!("/{case}/{port}/{family}"));
        let node = node.parse().ok();

        let hidden = outcome("friend");
        let judgement = &hidden.judgement;
        assert_eq!((judgement.verdict, &judgement.reason), (Verdict::Fail, &blocked), "{port}");
        let (kind, text) = cause(&hidden).expect("a cause");
        assert_eq!(kind, CauseKind::CniBlocks);
        let said = "the CNI blocks what policy allows: spec.ingress[0] of NetworkPolicy ";
        assert!(text.starts_with(said), "{text}");
        assert_eq!(hidden.endpoints.seen_as, node, "a control pod's, {port} {family}");

        let open = outcome("open");
        assert_eq!(open.judgement.verdict, Verdict::Pass, "{}", open.judgement.reason);
        assert_eq!(open.endpoints.seen_as, node, "the listener's, {port} {family}");
        let told = format!("-open-0 saw {}: source NAT on the way", node.expect("an address"));
        assert!(open.endpoints.source.contains(&told), "{}", open.endpoints.source);

        // On one node nothing is translated, and a stranger is none the less kept out.
        let near = outcome("near");
        assert_eq!(near.judgement.verdict, Verdict::Pass, "{}", near.judgement.reason);
        assert_eq!((near.endpoints.seen_as, cause(&near)), (None, None));
        let stranger = outcome("stranger").judgement;
        assert_eq!((stranger.verdict, stranger.reason), (Verdict::Pass, Reason::Dropped));
    }
    let warnings = finished.records().into_iter().filter_map(|record| match record.event {
        Event::Warning { message, .. } => Some(message),
        _ => None,
    });
    let told: Vec<String> = warnings.filter(|text| text.contains("source NAT")).collect();
    assert_eq!(told.len(), 2, "once for each family: {told:?}");
    assert_eq!(finished.code(), Some(1));

    // In words.
    let finished = masqueraded(&["--filter", "friend"]);
    let words = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "source NAT between pods: what pods on node-1 send to node-2 arrives there from 172.18.0.2",
        "a control pod on its node is seen as 172.18.0.2",
        "no selector of labels fits",
        "next Source NAT on the way makes friend arrive as 172.18.0.2",
    ] {
        assert!(words.contains(part), "no {part} in {words}");
    }
}

/// L44.
#[test]
fn what_opens_when_the_allows_arrive_was_never_denied() {
    let finished = sandboxed(&["--fault", "late-allows=5s", LATE]);
    let wrong = finished.outcome("closed/wrong/");
    assert_eq!(wrong.judgement.verdict, Verdict::Fail);
    let reached = matches!(wrong.judgement.reason, Reason::Connected { .. });
    assert!(reached, "{}", wrong.judgement.reason);
    assert!(matches!(wrong.history[0].seen, Observation::TimedOut), "denied at first");
    assert!(matches!(wrong.seen, Some(Observation::Connected { .. })), "{:?}", wrong.seen);
    let (kind, text) = cause(&wrong).expect("a cause");
    assert_eq!(kind, CauseKind::PolicyAllows, "{text}");
    assert!(text.contains("spec.ingress[0] of NetworkPolicy"), "{text}");

    let friend = finished.outcome("closed/friend/");
    assert_eq!(friend.judgement.verdict, Verdict::Pass, "{}", friend.judgement.reason);
    let latency = friend.latency.expect("it was seen closed before");
    assert!((4.0..9.0).contains(&latency.as_secs_f64()), "{latency:?}");
    let stranger = finished.outcome("closed/stranger/").judgement;
    assert_eq!((stranger.verdict, stranger.reason), (Verdict::Pass, Reason::Dropped));
    assert_eq!(finished.code(), Some(1));
}

/// L44, where no allow of the step's own shows that allows have arrived: not in the step that
/// writes them, nor in one whose deny was so before.
#[test]
fn a_denial_alone_waits_for_allows_that_are_on_their_way() {
    let finished = sandboxed(&["--fault", "late-allows=5s", "tests/suites/deny-alone.yaml"]);
    for case in ["base/from-the-start/", "opened/alone/"] {
        let outcome = finished.outcome(case);
        assert_eq!(outcome.judgement.verdict, Verdict::Fail, "{case} {}", outcome.judgement.reason);
        let reached = matches!(outcome.judgement.reason, Reason::Connected { .. });
        assert!(reached, "{case} {}", outcome.judgement.reason);
        assert!(
            matches!(outcome.history[0].seen, Observation::TimedOut),
            "{case}: denied at first"
        );
    }
    let rightly = finished.outcome("opened/rightly/").judgement;
    assert_eq!((rightly.verdict, rightly.reason), (Verdict::Pass, Reason::Dropped));
    assert_eq!(finished.code(), Some(1));
}
