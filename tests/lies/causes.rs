//! Lies about whose fault it is: what was meant, what the policies say, and what the wire
//! does, each really so.

use netproof::{
    event::Event,
    policy::Outcome,
    verdict::{CauseKind, Observation, Reason, Verdict},
};
use serde_json::json;

use crate::{
    sandboxed,
    stage::Stage,
    support::{Finished, run},
};

const CAUSES: &str = "tests/suites/causes.yaml";
const OTHERS: &str = "tests/suites/other-policies.yaml";

fn told(finished: &Finished, case: &str) -> (Verdict, Option<CauseKind>, String) {
    let outcome = finished.outcome(case);
    let cause = outcome.cause.as_ref();
    let text = cause.map(ToString::to_string).unwrap_or_default();
    (outcome.judgement.verdict, cause.map(|cause| cause.kind), text)
}

fn warnings(finished: &Finished, part: &str) -> usize {
    let records = finished.records().into_iter();
    let warning = |event: Event| match event {
        Event::Warning { message, .. } => Some(message),
        _ => None,
    };
    records.filter_map(|record| warning(record.event)).filter(|text| text.contains(part)).count()
}

/// The run's own names have its id in them.
fn without_id(text: &str) -> String {
    /// An id has so many letters, any of them; `np` may be the last two.
    const ID: usize = 6;
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("np-") {
        kept.push_str(before);
        rest = after.get(ID + 1..).unwrap_or_default();
    }
    kept + rest
}

#[test]
fn a_typo_in_a_policy_s_labels_is_named() {
    let finished = sandboxed(&[CAUSES]);
    let outcome = finished.outcome("/typo/");
    assert_eq!(outcome.judgement.verdict, Verdict::Fail);
    assert!(matches!(outcome.judgement.reason, Reason::Connected { .. }), "{outcome:?}");
    let cause = outcome.cause.expect("a cause");
    assert_eq!(cause.kind, CauseKind::PolicyAllows);
    assert_eq!(
        without_id(&cause.to_string()),
        "your policies allow it: no policy isolates lab/client-0 for egress, nor lab/frontend-0 \
         for ingress; nearest: NetworkPolicy lab/allow-frontend selects no pod: its label \
         `app=front-end` differs from `app=frontend` in one place"
    );

    use CauseKind::{PolicyAllows, PolicyDenies, Undetermined};
    for (case, verdict, kind, part) in [
        (
            "/by-rule/",
            Verdict::Fail,
            Some(PolicyAllows),
            "your policies allow it: spec.ingress[1] of NetworkPolicy lab/db allows it",
        ),
        (
            "/denied/",
            Verdict::Fail,
            Some(PolicyDenies),
            "your policies deny it: lab/db-0 is isolated for ingress by NetworkPolicy lab/db, and \
             none of its rules lets in lab/stranger-0 on 8080/TCP; nearest: spec.ingress[1] of \
             NetworkPolicy lab/db: from[0] of pod lab/stranger-0: label app=clients differs from \
             app=client in one place",
        ),
        (
            "/denied-service/",
            Verdict::Fail,
            Some(PolicyDenies),
            "your policies deny it: lab/db-0 is isolated for ingress by NetworkPolicy lab/db",
        ),
        ("/open-service/", Verdict::Pass, None, ""),
        (
            "/block/",
            Verdict::Pass,
            Some(Undetermined),
            "what the policies say is undetermined: whether an ipBlock counts for a pod's address \
             is up to the CNI (spec.ingress[0] of NetworkPolicy lab/block)",
        ),
        // The CNI does what the policies say here.
        ("/both/", Verdict::Pass, None, ""),
        ("/second/", Verdict::Pass, None, ""),
        ("/second-deny/", Verdict::Fail, Some(PolicyAllows), "NetworkPolicy lab/b-second"),
        // The policies as they are after the step, not before.
        ("/mended/", Verdict::Pass, None, ""),
        ("/still/", Verdict::Fail, Some(PolicyDenies), "by NetworkPolicy lab/allow-frontend"),
    ] {
        let (found, cause, text) = told(&finished, case);
        assert_eq!((found, cause), (verdict, kind), "{case} {text}");
        assert!(without_id(&text).contains(part), "{case} {text}");
    }
    assert_eq!(finished.code(), Some(1));
}

#[test]
fn a_cni_is_accused_only_of_what_the_policies_say() {
    let faults = ["--fault", "or-selectors", "--fault", "first-policy-only"];
    let arguments = ["run", "--sandbox", "--output", "json", CAUSES];
    let finished = run(&[&arguments[..], &faults[..]].concat());
    use CauseKind::{BlockedOtherwise, CniBlocks, NotEnforced, PolicyAllows};
    for (case, verdict, kind, text) in [
        (
            "/both/",
            Verdict::Fail,
            NotEnforced,
            "the CNI does not enforce: lab/both-0 is isolated for ingress by NetworkPolicy \
             lab/both, and none of its rules lets in lab/client-0 on 8080/TCP, yet it was reached",
        ),
        (
            "/both-allow/",
            Verdict::Pass,
            NotEnforced,
            "the CNI does not enforce: lab/both-0 is isolated for ingress by NetworkPolicy \
             lab/both, and none of its rules lets in lab/client-0 on 8080/TCP, yet it was reached",
        ),
        (
            "/second/",
            Verdict::Fail,
            CniBlocks,
            "the CNI blocks what policy allows: spec.ingress[0] of NetworkPolicy lab/b-second \
             allows it",
        ),
        (
            "/second-deny/",
            Verdict::Pass,
            BlockedOtherwise,
            "your policies allow it, something else blocks it: spec.ingress[0] of NetworkPolicy \
             lab/b-second allows it",
        ),
    ] {
        let (found, cause, said) = told(&finished, case);
        assert_eq!((found, cause), (verdict, Some(kind)), "{case} {said}");
        assert_eq!(without_id(&said), text, "{case}");
    }
    // The policies allow it, whatever the CNI does wrong beside.
    assert_eq!(told(&finished, "/by-rule/").1, Some(PolicyAllows));
    let spec = finished.outcome("/both/").cause.expect("a cause").spec;
    assert_eq!(spec.outcome, Outcome::Denied);
    assert_eq!(spec.isolated.len(), 1, "{spec:?}");
    let rule = &finished.outcome("/second/").cause.expect("a cause").spec.rules[0];
    assert_eq!((rule.path.as_str(), rule.index), ("spec.ingress[0]", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_policy_accuses_nobody() {
    let stage = Stage::new(&[]).await;
    stage.define("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies").await;
    let finished = stage.run_suite(OTHERS, &[]).finish();
    for (case, verdict, reason) in [
        ("/open/", Verdict::Fail, None),
        ("/closed/", Verdict::Fail, Some(Reason::Blocked { seen: Observation::TimedOut })),
    ] {
        let outcome = finished.outcome(case);
        assert_eq!(outcome.judgement.verdict, verdict, "{case}");
        if let Some(reason) = reason {
            assert_eq!(outcome.judgement.reason, reason, "{case}");
        }
        let (_, kind, text) = told(&finished, case);
        assert_eq!(kind, Some(CauseKind::Undetermined), "{case} {text}");
        assert_eq!(
            text, "what the policies say is undetermined: other kinds of policy may decide",
            "{case}"
        );
    }
    assert_eq!(told(&finished, "/holds/"), (Verdict::Pass, None, String::new()));
    // It has no say in a namespace where it isn't.
    assert_eq!(told(&finished, "/elsewhere/").1, Some(CauseKind::PolicyDenies));
    let said = warnings(&finished, "other kinds of policy may decide: CiliumNetworkPolicy ");
    assert_eq!(said, 1, "once: {}", finished.stdout);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_policy_that_may_not_be_read_accuses_nobody() {
    let stage = Stage::new(&[]).await;
    stage.define("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies").await;
    // Everything else that the run needs.
    let groups = [
        "",
        "apps",
        "batch",
        "policy",
        "networking.k8s.io",
        "policy.networking.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "authorization.k8s.io",
    ];
    let rules = json!([{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}]);
    stage.robot(rules).await;
    let finished = stage.run_as_robot(CAUSES, &[]).finish();
    let (verdict, kind, text) = told(&finished, "/typo/");
    assert_eq!((verdict, kind), (Verdict::Fail, Some(CauseKind::Undetermined)), "{text}");
    assert_eq!(text, "what the policies say is undetermined: other kinds of policy may decide");
    assert_eq!(told(&finished, "/both/"), (Verdict::Pass, None, String::new()));
    let said = warnings(&finished, "may not read CiliumNetworkPolicy");
    assert!(said >= 1, "{}", finished.stdout);
    stage.end().await;
}
