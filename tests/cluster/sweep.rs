//! Nothing is left behind.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Namespace, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::discovery::ApiResource,
};
use netproof::cluster::{CleanupOptions, RunContext, RunLease, cleanup, sweep};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::lab::{Lab, object, soon};

/// Everything of the kinds that tests create, of any run.
pub async fn left(lab: &Lab) -> Vec<String> {
    let hosts = ApiResource {
        group: "sandbox.netproof.dev".into(),
        version: "v1alpha1".into(),
        api_version: "sandbox.netproof.dev/v1alpha1".into(),
        kind: "ExternalHost".into(),
        plural: "externalhosts".into(),
    };
    let kinds = [
        (ApiResource::erase::<Namespace>(&()), "netproof.dev/run"),
        (ApiResource::erase::<ConfigMap>(&()), "netproof.dev/run"),
        (ApiResource::erase::<Lease>(&()), "netproof.dev/run"),
        (ApiResource::erase::<Pod>(&()), "netproof.dev/probe"),
        (hosts, "netproof.dev/run"),
    ];
    let mut left = Vec::new();
    for (kind, label) in kinds {
        let api: Api<DynamicObject> = Api::all_with(lab.client.clone(), &kind);
        for object in
            api.list(&ListParams::default().labels(label)).await.expect("the API takes it")
        {
            left.push(format!("{} {}", kind.kind, object.name_any()));
        }
    }
    left
}

/// Objects of every sort: in a namespace of the run's own, in one that isn't, in none.
async fn settle_in(lab: &Lab, context: &RunContext, own: &str, foreign: &str) {
    let none = Default::default();
    context.create_namespace(own, &none, &none).await.expect("the API takes it");
    context.create_owner(foreign).await.expect("the API takes it");
    for namespace in [own, foreign] {
        context
            .apply(&object(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("{}-map", context.run()), "namespace": namespace},
            })))
            .await
            .expect("the API takes it");
        let mut pod = lab.pod(namespace, "web", &[("main", "8080/tcp")]);
        pod.name = format!("np-{}-web-0", context.run());
        context.create_pod(&pod, true, false).await.expect("the API takes it");
    }
    context
        .apply(&object(json!({
            "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "ExternalHost",
            "metadata": {"name": format!("host-{}", context.run())},
            "spec": {"addresses": [format!("192.0.2.{}", rand::random_range(1..250))]},
        })))
        .await
        .expect("the API takes it");
}

#[tokio::test]
async fn a_sweep_removes_what_the_run_made_and_nothing_else() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "shop");
    let foreign = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).unwrap();
    maps.create(&Default::default(), &foreign).await.unwrap();
    let other = lab.other_run();
    other.create_owner("shop").await.unwrap();
    settle_in(&lab, &lab.context, "lab", "shop").await;
    let _lease = RunLease::acquire(&lab.context, "shop").await.unwrap();

    let (created, used) = (["lab".to_owned()], ["shop".to_owned()]);
    let report = sweep(&lab.context, &created, &used, soon()).await.unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    // The namespace; the pod, the owner, the map and the Lease in the other; the host.
    assert_eq!(report.removed, 6);
    assert_eq!(left(&lab).await, [format!("ConfigMap np-{}", other.run())]);
    assert!(maps.get("theirs").await.is_ok());

    let again = sweep(&lab.context, &created, &used, soon()).await.unwrap();
    assert_eq!((again.removed, again.left.len()), (0, 0), "a second sweep finds nothing");
}

#[tokio::test]
async fn a_sweep_says_what_is_left_and_why() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    lab.context.create_owner("shop").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "shop");
    let owner = format!("np-{}", lab.context.run());
    let patch = |finalizers: serde_json::Value| {
        Patch::Merge(json!({"metadata": {"finalizers": finalizers}}))
    };
    let parameters = PatchParams::default();
    maps.patch(&owner, &parameters, &patch(json!(["test.dev/keep"]))).await.unwrap();

    let deadline = Instant::now() + Duration::from_secs(1);
    let report = sweep(&lab.context, &[], &["shop".to_owned()], deadline).await.unwrap();
    assert_eq!(
        report.left,
        [format!("ConfigMap shop/{owner}: waits for its finalizers test.dev/keep")]
    );
    maps.patch(&owner, &parameters, &patch(json!(null))).await.unwrap();
}

#[tokio::test]
async fn a_cleanup_removes_dead_runs_and_leaves_live_ones_alone() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let (dead, alive, leaseless) = (&lab.context, lab.other_run(), lab.other_run());
    settle_in(&lab, dead, "dead", "shop").await;
    drop(RunLease::acquire(dead, "dead").await.unwrap());
    leaseless.create_owner("shop").await.unwrap();
    alive.create_owner("shop").await.unwrap();
    let lease = RunLease::acquire(&alive, "shop").await.unwrap();

    // Long enough for a live run's renewal, which comes every 3 s.
    let options = CleanupOptions { unrenewed: Duration::from_secs(7), ..Default::default() };
    let cancel = CancellationToken::new();
    let dry = CleanupOptions { dry_run: true, ..options.clone() };
    let cluster = lab.context.cluster();
    let before = left(&lab).await;
    let report = cleanup(cluster, &dry, &cancel).await.unwrap();
    assert_eq!(report.abandoned.len(), 2, "{report:?}");
    assert_eq!(left(&lab).await, before, "a dry run touches nothing");

    // Two at once do no harm.
    let (one, two) =
        tokio::join!(cleanup(cluster, &options, &cancel), cleanup(cluster, &options, &cancel));
    for report in [one.unwrap(), two.unwrap()] {
        assert_eq!(report.alive, std::slice::from_ref(alive.run()));
        assert!(report.abandoned.iter().all(|run| run.left.is_empty()), "{report:?}");
        assert_eq!(report.unseen, Vec::<String>::new());
    }
    let name = format!("np-{}", alive.run());
    assert_eq!(left(&lab).await, [format!("ConfigMap {name}"), format!("Lease {name}")]);
    assert!(!lease.lost().is_cancelled());

    let leases: Api<Lease> = Api::namespaced(lab.client.clone(), "shop");
    leases.delete(&name, &Default::default()).await.unwrap();
    tokio::time::timeout(crate::lab::LONG, lease.lost().cancelled()).await.unwrap();
    let reason = lease.reason().unwrap();
    assert!(reason.contains(&format!("renew lease shop/{name}")), "{reason}");
}

#[tokio::test]
async fn a_cleanup_of_one_namespace_asks_for_leases_elsewhere() {
    let lab = Lab::new().await;
    for namespace in ["shop", "control", "other"] {
        lab.foreign_namespace(namespace).await;
    }
    let (dead, alive, unmarked) = (&lab.context, lab.other_run(), lab.other_run());
    let mut leases = Vec::new();
    for run in [dead, &alive] {
        run.note_control_namespace("control");
        for namespace in ["shop", "control", "other"] {
            run.create_owner(namespace).await.unwrap();
        }
        leases.push(RunLease::acquire(run, "control").await.unwrap());
    }
    unmarked.create_owner("shop").await.unwrap();
    drop(leases.remove(0));

    let options = CleanupOptions {
        unrenewed: Duration::from_secs(7),
        namespaces: ["shop".to_owned()].into(),
        ..Default::default()
    };
    let cluster = lab.context.cluster();
    let report = cleanup(cluster, &options, &CancellationToken::new()).await.unwrap();
    assert_eq!(report.alive, std::slice::from_ref(alive.run()));
    let removed: Vec<_> = report.abandoned.iter().map(|run| (&run.run, run.removed)).collect();
    assert_eq!(removed, [(dead.run(), 1)], "its ConfigMap there, and nothing elsewhere");
    let expected = format!(
        "run {} has left something, and nothing there tells where its Lease is",
        unmarked.run()
    );
    assert_eq!(report.unseen, [expected], "a run whose Lease is anywhere may be alive");
}
