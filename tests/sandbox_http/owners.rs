//! What goes with its owner or its namespace.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy},
};
use serde_json::json;

use super::kit::{config_map, server, status, until};

#[tokio::test]
async fn dependents_go_with_their_owner() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await.expect("new");
    let owned = |name: &str, uid: &str| {
        let mut map = config_map(name, "1");
        let reference = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid,
        });
        map.metadata.owner_references =
            Some(vec![serde_json::from_value(reference).expect("a reference")]);
        map
    };
    let uid = owner.uid().expect("a uid");
    maps.create(&PostParams::default(), &owned("kept", &uid)).await.expect("new");
    maps.create(&PostParams::default(), &owned("lost", "no-such-uid")).await.expect("new");
    until("the one whose owner never was is gone", || async {
        maps.get_opt("lost").await.expect("an answer").is_none()
    })
    .await;
    assert!(maps.get_opt("kept").await.expect("an answer").is_some());
    maps.delete("owner", &DeleteParams::default()).await.expect("there");
    until("the dependent is gone", || async {
        maps.get_opt("kept").await.expect("an answer").is_none()
    })
    .await;
}

#[tokio::test]
async fn orphans_stay_and_foreground_waits() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    for (policy, stays) in
        [(PropagationPolicy::Orphan, true), (PropagationPolicy::Foreground, false)]
    {
        let owner =
            maps.create(&PostParams::default(), &config_map("owner", "1")).await.expect("new");
        let mut dependent = config_map("dependent", "1");
        let reference = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": owner.uid(), "blockOwnerDeletion": true,
        });
        dependent.metadata.owner_references =
            Some(vec![serde_json::from_value(reference).expect("a reference")]);
        maps.create(&PostParams::default(), &dependent).await.expect("new");
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        maps.delete("owner", &params).await.expect("there");
        until("the owner is gone", || async {
            maps.get_opt("owner").await.expect("an answer").is_none()
        })
        .await;
        let left = maps.get_opt("dependent").await.expect("an answer");
        assert_eq!(left.is_some(), stays, "the dependent");
        if let Some(left) = left {
            assert!(left.metadata.owner_references.is_none(), "it has no owner any more");
            maps.delete("dependent", &DeleteParams::default()).await.expect("there");
        }
    }
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let server = server().await;
    let spaces = Api::<Namespace>::all(server.client.clone());
    let space: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "shop"}})).expect("a namespace");
    let space = spaces.create(&PostParams::default(), &space).await.expect("new");
    assert_eq!(space.labels()["kubernetes.io/metadata.name"], "shop");
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "shop");
    let mut held = config_map("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    maps.create(&PostParams::default(), &held).await.expect("new");
    spaces.delete("shop", &DeleteParams::default()).await.expect("there");
    let going = spaces.get("shop").await.expect("held back by the finalizer");
    assert_eq!(going.status.and_then(|status| status.phase).as_deref(), Some("Terminating"));
    assert_eq!(
        status(maps.create(&PostParams::default(), &config_map("late", "1")).await),
        (403, "Forbidden".into())
    );
    until("its contents are being deleted", || async {
        maps.get("held").await.expect("held").metadata.deletion_timestamp.is_some()
    })
    .await;
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &patch).await.expect("let go");
    until("it is gone", || async { spaces.get_opt("shop").await.expect("an answer").is_none() })
        .await;
}
