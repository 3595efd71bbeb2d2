//! What a case asks for beyond allow and deny: a kind of denial, an answer.

use super::*;
use crate::verdict::WantedAnswer;

#[test]
fn a_case_asks_for_one_kind_of_denial() {
    let second = Duration::from_secs(1);
    let longer = Duration::from_millis(1_001);
    let wants = |denial| Claim { denial, ..claim(Blocked) };
    let dropped = || Judgement::new(Pass, Dropped);
    let rejected = || Judgement::new(Pass, Rejected { seen: prohibited() });
    let other = |verdict, wanted, seen| Judgement::new(verdict, OtherDenial { wanted, seen });
    let unproven = || Judgement::new(Pass, CauseUnproven { because: "no control".to_owned() });
    let too_short = || Judgement::not_settled("silence proves a drop only over more than a second");
    let no = prohibited();
    let rows = [
        ("any kind, silence", None, dropped(), None, second, dropped()),
        ("any kind, one answer", None, dropped(), Some(&no), second, rejected()),
        ("drop, silent long enough", Some(Denial::Drop), dropped(), None, longer, dropped()),
        ("drop, ICMP may be limited", Some(Denial::Drop), dropped(), None, second, too_short()),
        (
            "drop, one answer in any round",
            Some(Denial::Drop),
            dropped(),
            Some(&no),
            longer,
            other(Fail, Denial::Drop, prohibited()),
        ),
        ("reject, an answer", Some(Denial::Reject), rejected(), Some(&no), longer, rejected()),
        (
            "reject, one answer is enough",
            Some(Denial::Reject),
            dropped(),
            Some(&no),
            longer,
            rejected(),
        ),
        (
            "reject, silence",
            Some(Denial::Reject),
            dropped(),
            None,
            longer,
            other(Fail, Denial::Reject, Observation::TimedOut),
        ),
        ("unproven, any kind", None, unproven(), Some(&no), longer, unproven()),
        (
            "unproven, the right kind",
            Some(Denial::Reject),
            unproven(),
            Some(&no),
            longer,
            unproven(),
        ),
        (
            "unproven, the wrong kind",
            Some(Denial::Reject),
            unproven(),
            None,
            longer,
            other(Inconclusive, Denial::Reject, Observation::TimedOut),
        ),
        (
            "what isn't a denial stays",
            Some(Denial::Drop),
            Judgement::new(Fail, Connected { by: "api".to_owned() }),
            Some(&no),
            longer,
            Judgement::new(Fail, Connected { by: "api".to_owned() }),
        ),
    ];
    for (what, denial, judged, seen, silent_for, expected) in rows {
        assert_eq!(judge_denial(&wants(denial), judged, seen, silent_for), expected, "{what}");
    }
}

#[test]
fn a_status_that_was_not_asked_for_fails_an_allow_and_passes_no_denial() {
    let application = |status| AnsweredBy::Application { status, summary: "HTTP".to_owned() };
    for (expect, status, by, passes) in [
        (Allowed, Some(200), application(Some(200)), true),
        (Allowed, None, application(Some(500)), true),
        (Allowed, Some(200), application(Some(403)), false),
        (Allowed, Some(200), application(None), false),
        (Allowed, Some(200), AnsweredBy::Nobody, false),
        (Blocked, Some(403), application(Some(200)), false),
        (Blocked, Some(403), application(Some(403)), false),
    ] {
        let answer = status.map(|status| WantedAnswer::Status([status].into()));
        let claim = Claim { answer, ..foreign(expect) };
        let seen = Observation::Connected { by: by.clone() };
        let judgement = judge(&claim, &seen, &Controls::default());
        let expected = if passes { Verdict::Pass } else { Verdict::Fail };
        assert_eq!(judgement.verdict, expected, "{expect} {status:?} {by}");
    }
}

#[test]
fn what_is_spoken_is_judged_apart_from_what_is_let_through() {
    let tls = || AnsweredBy::TlsFailed { message: "UnknownIssuer".to_owned() };
    let nxdomain =
        || AnsweredBy::Dns { code: "NXDOMAIN".to_owned(), records: Vec::new(), truncated: None };
    for (expect, by, verdict, what) in [
        (Allowed, tls(), Fail, "TLS was asked for"),
        (Blocked, tls(), Fail, "the connection was made"),
        (Allowed, nxdomain(), Pass, "the resolver answered"),
        (Blocked, nxdomain(), Fail, "the resolver was reached"),
        (Allowed, AnsweredBy::Echo, Pass, "the echo came"),
        (Blocked, AnsweredBy::Echo, Fail, "the echo came"),
    ] {
        let seen = Observation::Connected { by };
        let judgement = judge(&foreign(expect), &seen, &Controls::default());
        assert_eq!(judgement.verdict, verdict, "{expect}: {what}");
    }
    let seen = Observation::Connected { by: AnsweredBy::Echo };
    assert_eq!(judge(&claim(Allowed), &seen, &Controls::default()).verdict, Pass, "a pod's echo");
    let seen = Observation::NotThere { message: "no SCTP".to_owned() };
    for expect in [Allowed, Blocked] {
        let judgement = judge(&lax(claim(expect)), &seen, &Controls::default());
        assert_eq!(judgement.verdict, NotRun, "{expect}: nothing was sent");
    }
}
