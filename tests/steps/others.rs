//! Changes of what others have made: everything is as it was afterwards.

use netproof::event::Event;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{kit::Shop, support::Finished};

/// A drill: the policy is loosened, the namespace relabelled, then the policy taken away.
const DRILL: &str = "\
steps:
  - name: loosened
    patch:
      - {kind: NetworkPolicy, name: keep, namespace: shop, merge: {spec: {ingress: [{}]}}}
    label: [{namespace: shop, set: {drill: 'on'}, remove: team}]
    cases: [{name: opened, from: other, to: api, port: main, expect: allow}]
  - name: removed
    delete: [{kind: NetworkPolicy, name: keep, namespace: shop}]
    cases: [{name: opened, from: other, to: api, port: main, expect: allow}]
";

fn warnings(finished: &Finished) -> Vec<String> {
    let kept = finished.records().into_iter().filter_map(|record| match record.event {
        Event::Undone { kept, failed, .. } => Some([kept, failed].concat()),
        _ => None,
    });
    kept.flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drill_took_away_is_put_back() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    let finished = shop.run(DRILL, &[]).finish();
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert_eq!(shop.written().await, before);
    assert_eq!(warnings(&finished), [""; 0]);
    assert_eq!(shop.records().await, [""; 0]);
    // What was put back is enforced: the base cases hold again.
    let finished = shop.run("", &[]).finish();
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_drill_is_put_back() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    let mut run = shop.run(DRILL, &[]);
    while run.until("changed")["step"] != "removed" {}
    assert_eq!(shop.written().await.0, None, "the policy is gone meanwhile");
    run.signal(Signal::SIGINT);
    let finished = run.finish();
    assert_eq!(finished.code(), Some(130));
    assert_eq!(shop.written().await, before);
    assert_eq!(shop.records().await, [""; 0]);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_puts_back_what_a_killed_drill_took_away() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    let mut run = shop.run(DRILL, &[]);
    while run.until("changed")["step"] != "removed" {}
    run.signal(Signal::SIGKILL);
    run.finish();
    assert_eq!(shop.written().await.0, None, "nobody puts it back by itself");
    assert_eq!(shop.records().await.len(), 3);
    let cleaned = shop.cleanup();
    assert_eq!(cleaned.code(), Some(0), "{} {}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stdout.contains("put back 2 objects"), "{}", cleaned.stdout);
    assert_eq!(shop.written().await, before);
    assert_eq!(shop.records().await, [""; 0]);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_puts_back_what_a_killed_drill_took_away() {
    let shop = Shop::new().await;
    let mut run = shop.run(DRILL, &[]);
    while run.until("changed")["step"] != "removed" {}
    run.signal(Signal::SIGKILL);
    run.finish();
    assert_eq!(shop.written().await.0, None, "nobody puts it back by itself");
    // At once: nothing of its Lease looks dead yet.
    // The base cases claim what the killed drill had taken away.
    let finished = shop.run("", &[]).finish();
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert!(finished.stderr.contains("put back 2"), "{}", finished.stderr);
    assert_eq!(shop.records().await, [""; 0]);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_live_run_has_changed_is_its_own_to_put_back() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    // A wait that no case follows would be idle, and a mistake.
    let long = "  - {name: long, wait: 60s}\n  - name: last\n    \
                cases: [{name: still, from: other, to: api, port: main, expect: allow}]\n";
    let mut drill = shop.run(&format!("{DRILL}{long}"), &[]);
    while drill.until("changed")["step"] != "removed" {}
    let beside = shop.run("", &[]).finish();
    assert!(beside.stderr.contains("is alive"), "{}", beside.stderr);
    assert!(!beside.stderr.contains("was killed"), "{}", beside.stderr);
    assert_eq!(shop.written().await.0, None, "its policy is still away");
    drill.signal(Signal::SIGINT);
    drill.finish();
    assert_eq!(shop.written().await, before);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_longer_than_the_lease_ends_the_run_and_loses_nothing() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    let mut run = shop.run(DRILL, &[]);
    while run.until("changed")["step"] != "removed" {}
    shop.fault("api-503").await;
    let aborted = run.until("aborted");
    let message = aborted["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("the run's Lease was lost"), "{message}");
    // The sweep goes on until the server is back.
    shop.no_fault().await;
    let finished = run.finish();
    assert_eq!(finished.code(), Some(3), "{}", finished.stderr);
    if shop.written().await != before {
        let cleaned = shop.cleanup();
        assert_eq!(cleaned.code(), Some(0), "{} {}", cleaned.stdout, cleaned.stderr);
    }
    assert_eq!(shop.written().await, before);
    assert_eq!(shop.records().await, [""; 0]);
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changed_meanwhile_stays_and_is_told() {
    let shop = Shop::new().await;
    let drill = DRILL.split("  - name: removed").next().expect("a first step");
    let mut run = shop.run(drill, &[]);
    run.until("changed");
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "api"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 8080}]}],
    });
    shop.apply_policy(json!({"owner": "somebody"}), spec).await;
    let finished = run.finish();
    let (policy, namespace) = shop.written().await;
    let policy = policy.expect("the policy");
    assert_eq!(policy["labels"]["owner"], "somebody");
    assert_eq!(policy["spec"]["ingress"], json!([{"ports": [{"port": 8080, "protocol": "TCP"}]}]));
    assert_eq!(namespace["team"], "a", "what nobody else touched is put back");
    let told = warnings(&finished);
    let told = told.iter().any(|text| {
        text.contains("shop/keep") && text.contains("spec.ingress") && text.contains("(somebody")
    });
    assert!(told, "{:?}", warnings(&finished));
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_put_back_is_not_touched() {
    let shop = Shop::new().await;
    let before = shop.written().await;
    let ask = "cases: [{name: x, from: web, to: api, port: main, expect: deny}]";
    for (changes, told) in [
        ("delete: [{kind: NetworkPolicy, name: nobody, namespace: shop}]", "not found"),
        ("delete: [{kind: Namespace, name: shop}]", "would go with it"),
        (
            "patch: [{kind: Service, name: kube-dns, namespace: kube-system, merge: {spec: {}}}]",
            "--allow-system-changes",
        ),
        ("label: [{namespace: kube-system, set: {a: b}}]", "--allow-system-changes"),
    ] {
        let finished = shop.run(&format!("steps:\n  - {{name: s, {changes}, {ask}}}\n"), &[]);
        let finished = finished.finish();
        assert_eq!(finished.code(), Some(2), "{changes}: {}", finished.stdout);
        assert!(finished.stdout.contains(told), "{changes}: {}", finished.stdout);
    }
    assert_eq!(shop.written().await, before);
    shop.end().await;
}
