//! Objects are written and read as Kubernetes has it.

use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::kit::{config_map, server, status, until};

#[tokio::test]
async fn objects_are_created_read_changed_and_deleted() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await.expect("new");
    assert!(created.uid().is_some() && created.creation_timestamp().is_some());
    assert_eq!(
        status(maps.create(&PostParams::default(), &config_map("a", "1")).await),
        (409, "AlreadyExists".into())
    );

    let mut changed = created.clone();
    changed.data = Some([("key".to_owned(), "2".to_owned())].into());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.expect("the latest");
    assert_ne!(replaced.resource_version(), created.resource_version());
    assert_eq!(
        status(maps.replace("a", &PostParams::default(), &changed).await),
        (409, "Conflict".into()),
        "the version is an old one by now"
    );

    let patch = Patch::Merge(json!({"data": {"other": "3"}}));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.expect("a patch");
    assert_eq!(patched.data.map(|data| data.len()), Some(2));

    maps.delete("a", &DeleteParams::default()).await.expect("there");
    assert_eq!(status(maps.get("a").await), (404, "NotFound".into()));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_by_selector() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "kube-node-lease");
    until("the namespace is furnished", || async {
        maps.get_opt("kube-root-ca.crt").await.expect("an answer").is_some()
    })
    .await;
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, name)).await.expect("new");
    }
    let first = maps.list(&ListParams::default().limit(2)).await.expect("a page");
    let names: Vec<_> = first.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["a", "b"]);
    let token = first.metadata.continue_.expect("there is more");
    let rest = maps.list(&ListParams::default().limit(5).continue_token(&token)).await;
    let names: Vec<_> = rest.expect("a page").items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["c", "kube-root-ca.crt"]);
    let one = maps.list(&ListParams::default().fields("metadata.name=b")).await.expect("a list");
    assert_eq!(one.items.len(), 1);
}

#[tokio::test]
async fn server_side_apply_creates_merges_and_finds_conflicts() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    let config = |data: Value| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data,
        }))
    };
    let one = PatchParams::apply("one");
    maps.patch("applied", &one, &config(json!({"a": "1", "b": "1"}))).await.expect("created");
    let stored = maps.get("applied").await.expect("there");
    let again = maps.patch("applied", &one, &config(json!({"a": "1", "b": "1"}))).await;
    assert_eq!(again.expect("the same").resource_version(), stored.resource_version());
    let two = PatchParams::apply("two");
    maps.patch("applied", &two, &config(json!({"c": "1"}))).await.expect("merged");
    let conflict = maps.patch("applied", &two, &config(json!({"a": "2"}))).await;
    assert_eq!(status(conflict), (409, "Conflict".into()));
    let forced = maps.patch("applied", &two.clone().force(), &config(json!({"a": "2"}))).await;
    let data = forced.expect("forced").data.expect("data");
    let data: Vec<_> = data.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(data, ["a=2", "b=1"], "c was only two's, and two let it go");
    let unnamed = maps.patch("applied", &PatchParams::default(), &config(json!({}))).await;
    assert!(unnamed.is_err(), "an apply needs a manager");
}

#[tokio::test]
async fn discovery_knows_every_kind() {
    let server = server().await;
    let discovery = kube::discovery::Discovery::new(server.client.clone());
    let discovery = discovery.run().await.expect("discovery");
    for (group, kind) in [
        ("", "Pod"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("sandbox.netproof.dev", "ExternalHost"),
    ] {
        let found = discovery.get(group).and_then(|group| group.recommended_kind(kind));
        assert!(found.is_some(), "{group}/{kind}");
    }
    let (host, _) = discovery
        .get("sandbox.netproof.dev")
        .and_then(|group| group.recommended_kind("ExternalHost"))
        .expect("found above");
    let hosts = Api::<DynamicObject>::all_with(server.client.clone(), &host);
    let object = json!({
        "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "ExternalHost",
        "metadata": {"name": "metadata"},
        "spec": {"addresses": ["169.254.169.254"], "ports": ["80/http"]},
    });
    let object = serde_json::from_value(object).expect("an object");
    hosts.create(&PostParams::default(), &object).await.expect("a host");
    let version = server.client.apiserver_version().await.expect("a version");
    assert_eq!(version.minor, "36");
}

#[tokio::test]
async fn pods_are_stored_and_their_status_is_apart() {
    let server = server().await;
    let pods = Api::<Pod>::namespaced(server.client.clone(), "default");
    let pod = json!({
        "metadata": {"generateName": "web-"},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running"},
    });
    let pod = serde_json::from_value(pod).expect("a pod");
    let created = pods.create(&PostParams::default(), &pod).await.expect("new");
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    assert_eq!(phase(&created).as_deref(), Some("Pending"), "a creator has no say in the status");
    let name = created.name_any();
    let patch = Patch::Merge(json!({
        "metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"},
    }));
    let main = pods.patch(&name, &PatchParams::default(), &patch).await.expect("a patch");
    assert_eq!(phase(&main).as_deref(), Some("Pending"));
    assert_eq!(main.labels()["a"], "b");
    let sub = pods.patch_status(&name, &PatchParams::default(), &patch).await.expect("a patch");
    assert_eq!(phase(&sub).as_deref(), Some("Running"));
    let spec = Patch::Merge(json!({"spec": {"nodeName": "node-9"}}));
    assert_eq!(
        status(pods.patch(&name, &PatchParams::default(), &spec).await),
        (422, "Invalid".into())
    );
    let deleted = pods.delete(&name, &DeleteParams::default()).await.expect("there");
    assert!(pods.get_opt(&name).await.expect("an answer").is_none(), "{deleted:?}: no node ran it");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    for (name, run) in [("a", "one"), ("b", "one"), ("c", "two")] {
        let mut map = config_map(name, name);
        map.metadata.labels = Some([("run".to_owned(), run.to_owned())].into());
        maps.create(&PostParams::default(), &map).await.expect("new");
    }
    let ours = ListParams::default().labels("run=one");
    maps.delete_collection(&DeleteParams::default(), &ours).await.expect("deleted");
    let left = maps.list(&ListParams::default().labels("run")).await.expect("a list");
    let left: Vec<_> = left.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["c"]);
}

#[tokio::test]
async fn the_bearer_of_the_token_may_do_everything() {
    let server = server().await;
    let reviews = Api::<SelfSubjectAccessReview>::all(server.client.clone());
    let review = json!({"spec": {"resourceAttributes": {
        "verb": "create", "resource": "pods", "subresource": "exec", "namespace": "default",
    }}});
    let review = serde_json::from_value(review).expect("a review");
    let review = reviews.create(&PostParams::default(), &review).await.expect("an answer");
    assert!(review.status.is_some_and(|status| status.allowed));
}
