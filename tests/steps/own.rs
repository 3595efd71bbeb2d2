//! Changes of what the run itself brings.

use netproof::{
    event::Event,
    verdict::{Reason, Verdict},
};

use crate::{kit::Shop, support::run};

const SUITE: &str = "tests/suites/steps.yaml";

#[test]
fn every_change_comes_to_pass() {
    let finished = run(&["run", "--sandbox", "--output", "json", SUITE]);
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert_eq!(finished.code(), Some(0));
    let changes = finished.records().into_iter().filter_map(|record| match record.event {
        Event::Changed { step, .. } => Some(step),
        _ => None,
    });
    let changes: Vec<String> = changes.collect();
    let steps = ["isolated", "updated", "updated", "relabelled", "relabelled", "patched"];
    assert_eq!(changes[..6], steps);
}

#[test]
fn the_contrary_of_no_step_holds() {
    let text = std::fs::read_to_string(SUITE).expect("a suite");
    let text = text
        .replace("within: 3s", "within: 1s")
        .replace("expect: allow", "expect: ALLOW")
        .replace("expect: deny", "expect: allow")
        .replace("expect: ALLOW", "expect: deny");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("write the contrary");
    let path = file.path().display().to_string();
    let finished = run(&["run", "--sandbox", "--output", "json", &path]);
    let mut judged = 0;
    for record in finished.records() {
        if let Event::CaseJudged { id, outcome } = record.event {
            judged += 1;
            assert_eq!(outcome.judgement.verdict, Verdict::Fail, "{id}");
        }
    }
    assert_eq!(judged, 26, "{}", finished.stderr);
}

#[test]
fn a_filter_makes_the_changes_before_its_cases_and_none_after() {
    let finished = run(&["run", "--sandbox", "--output", "json", "--filter", "/updated/", SUITE]);
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    let changes = finished.records().into_iter().filter_map(|record| match record.event {
        Event::Changed { change, .. } => Some(change),
        _ => None,
    });
    assert_eq!(changes.count(), 3, "apply, apply, create");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_leaves_the_rest_untold() {
    let shop = Shop::new().await;
    let run = shop.run(
        "\
steps:
  - name: refused
    apply:
      - {inline: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: keep, namespace: shop}, spec: {podSelector: {}}}}
    cases: [{name: shut, from: web, to: api, port: main, expect: deny}]
  - name: later
    wait: 1ms
    cases: [{name: after, from: web, to: api, port: main, expect: allow}]
",
        &[],
    );
    let finished = run.finish();
    assert_eq!(finished.outcome("/base/open/").judgement.verdict, Verdict::Pass);
    for case in ["/refused/shut/", "/later/after/"] {
        let judgement = finished.outcome(case).judgement;
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        let told = matches!(&judgement.reason, Reason::NotChanged { because }
            if because.contains("step refused") && because.contains("shop/keep"));
        assert!(told, "{}", judgement.reason);
    }
    assert_eq!(finished.code(), Some(3));
    shop.end().await;
}
