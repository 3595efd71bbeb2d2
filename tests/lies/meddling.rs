//! Lies that somebody's meddling with a run under way tempts to.

use netproof::{
    event::{CanaryState, Event},
    verdict::{ControlKind, Observation, Reason, Verdict},
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_no_denial() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    run.signal("serve", "closed", Signal::SIGSTOP);
    let finished = run.finish();
    let judgement = finished.outcome("/deny/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    let control = match &judgement.reason {
        Reason::ControlNotUp { control, .. } => Some(*control),
        _ => None,
    };
    assert_eq!(control, Some(ControlKind::Listener), "{}", judgement.reason);
    assert_eq!(finished.outcome("/allow/").judgement.verdict, Verdict::Pass);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_made_again_and_changes_nothing() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    let killed = run.signal_all("dial", Signal::SIGKILL);
    assert!(killed > 2, "{killed} agents were killed");
    let finished = run.finish();
    assert_eq!(finished.outcome("/deny/").judgement.reason, Reason::Dropped);
    assert_eq!(finished.outcome("/allow/").judgement.verdict, Verdict::Pass);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relabelled_pod_decides_nothing_even_after_it_was_put_right() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    for app in ["other", "client"] {
        let labels = json!({"metadata": {"labels": {"app": app}}});
        stage.patch_pod(&run, "lab", "client", labels).await;
    }
    let finished = run.finish();
    for case in ["/deny/", "/allow/"] {
        let judgement = finished.outcome(case).judgement;
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{case} {}", judgement.reason);
        let changed = matches!(
            &judgement.reason,
            Reason::NothingSeen { seen: Observation::NotAsPlanned { message } }
                if message.contains("its label app is `other`, not `client`")
        );
        assert!(changed, "{case} {}", judgement.reason);
    }
    stage.end().await;
}

/// What a case that somebody meddled with says.
fn meddled(judgement: &netproof::verdict::Judgement) -> String {
    match &judgement.reason {
        Reason::NothingSeen { seen: Observation::NotAsPlanned { message } } => message.clone(),
        other => panic!("{} {other}", judgement.verdict),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_somebody_adds_meanwhile_decides_nothing_and_is_named() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    let lab = run.namespace("lab");
    stage.deny_all(&lab).await;
    let finished = run.finish();
    for case in ["/allow/", "/deny/"] {
        let judgement = finished.outcome(case).judgement;
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{case} {}", judgement.reason);
        let told = meddled(&judgement);
        let expected = format!("somebody else created NetworkPolicy {lab}/deny-all meanwhile");
        assert!(told.starts_with(&expected), "{told}");
    }
    assert_eq!(finished.code(), Some(3));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_somebody_relabels_meanwhile_decides_nothing() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    stage.label_namespace(&run.namespace("lab"), json!({"team": "other"})).await;
    let finished = run.finish();
    let judgement = finished.outcome("/deny/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(meddled(&judgement).contains("changed the labels of namespace"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_canary_is_no_proof_and_accuses_nobody() {
    let stage = Stage::new(&["delay=2s"]).await;
    let mut run = stage.run(&["--canary-within", "4s"]);
    // The first round begins long before the policy bites.
    run.until("round");
    run.signal("serve", "canary-ingress-node-1", Signal::SIGSTOP);
    run.signal("serve", "canary-ingress-node-2", Signal::SIGSTOP);
    let finished = run.finish();
    let lost = finished.records().into_iter().any(|record| {
        matches!(record.event, Event::Canary { canary }
            if matches!(canary.state, CanaryState::Lost { .. }))
    });
    assert!(lost, "{}", finished.stdout);
    let judgement = finished.outcome("/deny/").judgement;
    assert_ne!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    assert_ne!(finished.code(), Some(4), "nobody knows whether the CNI enforces");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_control_namespace_proves_nothing() {
    let stage = Stage::new(&[]).await;
    stage.namespace("closed-control").await;
    stage.deny_all("closed-control").await;
    let finished = stage.run(&["--control-namespace", "closed-control"]).finish();
    let judgement = finished.outcome("/deny/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(finished.stdout.contains("neverReached"), "{}", finished.stdout);
    assert_eq!(finished.outcome("/allow/").judgement.verdict, Verdict::Pass);
    assert_eq!(finished.code(), Some(3));
    stage.end().await;
}
