//! Lies about probe pods themselves: who takes them for its own, and who changes them.

use netproof::{
    event::Event,
    verdict::{ControlKind, Observation, Reason, Verdict},
};
use serde_json::json;

use crate::{sandboxed, stage::Stage};

const STAGE: &str = "tests/suites/stage.yaml";

/// L29, L30: an application that selects by the very labels that a probe pod wears.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_pod_is_nobodys_backend_and_nobodys_child() {
    let stage = Stage::new(&[]).await;
    stage.namespace("app").await;
    let labels = json!({"app": "web"});
    let pods = json!({"metadata": {"labels": labels}, "spec": {"containers": [
        {"name": "c", "image": "web", "ports": [{"containerPort": 8080}]}]}});
    for (api, kind, spec) in [
        (
            "apps/v1",
            "ReplicaSet",
            json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": pods}),
        ),
        ("apps/v1", "DaemonSet", json!({"selector": {"matchLabels": labels}, "template": pods})),
        ("v1", "Service", json!({"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]})),
    ] {
        let object = json!({"metadata": {"name": "web", "namespace": "app"}, "spec": spec});
        stage.create(api, kind, object).await;
    }
    // One of the ReplicaSet, one of the DaemonSet on each node.
    stage.until(async || stage.backends("app", "web").await.len() == 3).await;
    let before = stage.backends("app", "web").await;
    let mut run = stage.run_suite("tests/suites/guest.yaml", &[]);
    run.until("round");
    assert_eq!(stage.backends("app", "web").await, before, "no probe pod takes real traffic");
    let owners = stage.owners("app", "np-").await;
    assert!(!owners.is_empty(), "the probe pods are there");
    for (pod, kind) in owners {
        assert_eq!(kind, "ConfigMap", "{pod} has an owner of the run's own");
    }
    let finished = run.finish();
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert_eq!(stage.backends("app", "web").await, before);
    stage.end().await;
}

/// L37.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_interface_is_the_pods_and_no_policys() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    let fault = format!("dead-interface={}/{}", run.namespace("lab"), run.pod("closed"));
    stage.fault("dead", &fault).await;
    let finished = run.finish();
    let judgement = finished.outcome("/deny/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    let path = match &judgement.reason {
        Reason::ControlNotUp { control, .. } | Reason::PathDown { control, .. } => Some(*control),
        _ => None,
    };
    assert_eq!(path, Some(ControlKind::DestinationPodPath), "{}", judgement.reason);
    stage.end().await;
}

/// L40.
#[test]
fn what_a_webhook_makes_of_a_pod_is_read_back() {
    let finished = sandboxed(&["--fault", "label-pods=app:other", STAGE]);
    let judgement = finished.outcome("/deny/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    let told = judgement.reason.to_string();
    assert!(told.contains("app") && told.contains("other"), "the difference is named: {told}");
}

/// L38: a container that was put into the pod may take handshakes in the place of ours.
#[test]
fn a_sidecar_that_was_added_is_told_and_proves_nothing_by_a_handshake() {
    let finished = sandboxed(&["--fault", "inject-sidecar", STAGE]);
    for case in ["/deny/", "/allow/"] {
        let judgement = finished.outcome(case).judgement;
        let by_handshake = matches!(judgement.reason, Reason::HandshakeOnly);
        assert!(!by_handshake, "{case} {}", judgement.reason);
        if judgement.verdict == Verdict::Inconclusive {
            let told = judgement.reason.to_string();
            assert!(told.contains("container"), "{case} {told}");
        }
    }
}

/// L3: exec streams that never live long enough to bring an answer.
#[test]
fn a_stream_that_breaks_half_way_denies_nobody() {
    let finished = sandboxed(&["--fault", "exec-cut=150ms", "--deadline", "25s", STAGE]);
    for record in finished.records() {
        let Event::CaseJudged { id, outcome } = record.event else { continue };
        let judgement = outcome.judgement;
        // Where an answer came through between two cuts, it is one with all its controls.
        let proven = matches!(judgement.reason, Reason::Dropped | Reason::Answered { .. });
        let told = [Verdict::Inconclusive, Verdict::NotRun].contains(&judgement.verdict);
        assert!(proven || told, "{id}: {} {}", judgement.verdict, judgement.reason);
    }
    let code = finished.code();
    assert!(code == Some(3) || code == Some(0), "{}", finished.stdout);
}

/// L31: who is selected by its namespace's labels is probed from such a namespace.
#[test]
fn an_identity_is_more_than_a_pods_labels() {
    let finished = sandboxed(&["suites/staging-tester.yaml"]);
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    let broken = sandboxed(&["--fault", "ignore-namespace-selector", "suites/staging-tester.yaml"]);
    assert_eq!(broken.code(), Some(1), "the namespace's labels decide: {:?}", broken.not_passed());
}

/// L13: nothing comes back over UDP, and that is no sign of anything.
#[test]
fn silence_over_udp_allows_nobody() {
    let finished = sandboxed(&["--fault", "drop-replies-udp", "tests/suites/silence.yaml"]);
    let judgement = finished.outcome("/allow/").judgement;
    let verdicts = [Verdict::Fail, Verdict::Inconclusive];
    assert!(verdicts.contains(&judgement.verdict), "{} {}", judgement.verdict, judgement.reason);
    let seen = finished.outcome("/allow/").seen;
    assert!(!matches!(seen, Some(Observation::Connected { .. })), "{seen:?}");
}
