//! What a run creates, and what it finds there.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, ResourceExt, api::DeleteParams};
use netproof::cluster::{Ended, ErrorKind, NotReady, Pods};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::lab::{Lab, object, soon};

#[tokio::test]
async fn a_namespace_that_exists_is_never_taken_over() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let none = BTreeMap::new();
    let error = lab.context.create_namespace("shop", &none, &none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().starts_with("create namespace shop: it exists already"), "{error}");
}

#[tokio::test]
async fn a_guest_runs_and_stays_out_of_services() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    lab.context.create_owner("shop").await.unwrap();
    let web = lab.pod("shop", "web", &[("main", "8080/tcp")]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "main"}]},
    });
    lab.context.apply(&object(service)).await.unwrap();
    let pods = lab.launch(std::slice::from_ref(&web)).await;

    let state = pods.state("shop", &web.name).unwrap();
    assert_eq!(state.differs_from(&web), Vec::<String>::new());
    assert!(!state.addresses.is_empty(), "{:?}", state.addresses);
    assert_eq!(state.node.as_ref(), Some(&web.node));
    assert!(!state.meshed());
    let since = state.containers_ready_since.unwrap();
    assert!(state.was_ready(since, since + Duration::from_secs(1)));
    assert!(!state.was_ready(since - Duration::from_secs(1), since));
    assert_eq!(*pods.progress().borrow(), 1);

    let view = lab.context.service("shop", "web").await.unwrap().unwrap();
    assert_eq!(view.cluster_ips.len(), 1);
    assert!(view.endpoints.iter().all(|endpoint| !endpoint.ready), "{:?}", view.endpoints);
    assert_eq!(lab.context.service("shop", "nobody").await.unwrap(), None);
}

#[tokio::test]
async fn the_owners_end_is_the_pods_end() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    lab.context.create_owner("shop").await.unwrap();
    let web = lab.pod("shop", "web", &[("main", "8080/tcp")]);
    let pods = lab.launch(std::slice::from_ref(&web)).await;

    let owners: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "shop");
    let owner = format!("np-{}", lab.context.run());
    owners.delete(&owner, &DeleteParams::background()).await.unwrap();
    let mut changes = pods.progress();
    while *changes.borrow_and_update() > 0 {
        tokio::time::timeout(crate::lab::LONG, changes.changed()).await.unwrap().unwrap();
    }
    assert!(pods.state("shop", &web.name).unwrap().deleted);
}

#[tokio::test]
async fn a_pod_wears_no_run_in_its_labels() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    let mut web = lab.pod("lab", "web", &[("main", "8080/tcp")]);
    web.namespace_created = true;
    lab.context.create_pod(&web, false, true).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "lab");
    let pod = pods.get(&web.name).await.unwrap();
    let labels: Vec<&String> = pod.labels().keys().collect();
    assert_eq!(labels, ["app", "netproof.dev/probe"]);
    assert_eq!(pod.annotations()["netproof.dev/run"], lab.context.run().as_str());
    let [owner] = pod.owner_references() else { panic!("one owner: {:?}", pod.metadata) };
    assert_eq!((owner.kind.as_str(), owner.controller), ("ConfigMap", Some(true)));
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_what_keeps_it() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    let mut web = lab.pod("lab", "web", &[]);
    web.node = "nowhere".into();
    let names = [("lab".to_owned(), web.name.clone())];
    let pods = Pods::watch(&lab.context, &names, CancellationToken::new()).await;
    lab.context.create_pod(&web, false, false).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    let NotReady { pods: missing, total, ended } = pods.ready(&names, deadline).await.unwrap_err();
    assert_eq!((total, ended), (1, Ended::Deadline));
    let [pod] = &missing[..] else { panic!("{missing:?}") };
    assert_eq!(pod.phase, "Pending");
    assert!(pod.reasons.iter().any(|reason| reason.contains("Unschedulable")), "{pod}");
}

#[tokio::test]
async fn waiting_for_pods_ends_with_the_run() {
    let lab = Lab::new().await;
    let cancel = CancellationToken::new();
    let names = [("lab".to_owned(), "np-nobody-0".to_owned())];
    let pods = Pods::watch(&lab.context, &names, cancel.clone()).await;
    let (ended, ()) = tokio::join!(pods.ready(&names, soon()), async { cancel.cancel() });
    let NotReady { pods: missing, ended, .. } = ended.unwrap_err();
    assert_eq!((ended, missing[0].phase.as_str()), (Ended::Cancelled, "absent"));
}

#[tokio::test]
async fn manifests_are_created_once_and_marked() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    let config = |name: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "lab"},
        }))
    };
    let applied = lab.context.apply(&config("a")).await.unwrap();
    assert_eq!(applied.reference.to_string(), "ConfigMap lab/a");
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "lab");
    let map = maps.get("a").await.unwrap();
    assert_eq!(map.labels()["netproof.dev/run"], lab.context.run().as_str());

    let foreign = serde_json::from_value(json!({"metadata": {"name": "b"}})).unwrap();
    maps.create(&Default::default(), &foreign).await.unwrap();
    for (what, planned, start) in [
        (
            "one that it made itself",
            config("a"),
            "apply test.yaml: create ConfigMap lab/a: this run",
        ),
        ("somebody else's", config("b"), "apply test.yaml: create ConfigMap lab/b: "),
        (
            "a kind that nobody knows",
            object(json!({"apiVersion": "v1", "kind": "Gadget", "metadata": {"name": "a"}})),
            "apply test.yaml: find the kind Gadget of v1: the cluster has no such kind",
        ),
        (
            "an API that nobody knows",
            object(json!({"apiVersion": "x.y/v1", "kind": "Gadget", "metadata": {"name": "a"}})),
            "apply test.yaml: find the kind Gadget of x.y/v1: the cluster has no such API",
        ),
        (
            "no namespace",
            object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})),
            "apply test.yaml: create ConfigMap a: it names no namespace",
        ),
    ] {
        let error = lab.context.apply(&planned).await.unwrap_err().to_string();
        assert!(error.starts_with(start), "{what}: {error}");
    }
}
