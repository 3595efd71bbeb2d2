//! The sandbox's API over HTTPS, by two clients, with nothing that runs behind it.

#![cfg(target_os = "linux")]

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{
        DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
        WatchEvent, WatchParams,
    },
    config::{KubeConfigOptions, Kubeconfig},
};
use netproof::sandbox::{
    api::{self, Credentials, store::Store},
    controller,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a loaded machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    client: Client,
    address: String,
    token: String,
    _cancel: DropGuard,
}

/// Starts an API whose namespaces are emptied and whose garbage is collected.
async fn server() -> Server {
    let store = Arc::new(Store::new());
    controller::set_up(&store);
    let credentials = Credentials::generate().expect("credentials");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let cancel = CancellationToken::new();
    let router = api::router(api::Api {
        store: Arc::clone(&store),
        token: Some(credentials.token.clone()),
        runtime: None,
    });
    tokio::spawn(api::serve(listener, Arc::clone(&credentials.server), router, cancel.clone()));
    tokio::spawn(controller::collect_garbage(Arc::clone(&store), cancel.clone()));
    let authority = credentials.authority().to_owned();
    tokio::spawn(controller::empty_namespaces(store, authority, cancel.clone()));

    let kubeconfig = Kubeconfig::from_yaml(&credentials.kubeconfig(address)).expect("YAML");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("complete");
    Server {
        client: Client::try_from(config).expect("a client"),
        address: format!("https://{address}"),
        token: credentials.token.clone(),
        _cancel: cancel.drop_guard(),
    }
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    let object = json!({"metadata": {"name": name}, "data": {"key": value}});
    serde_json::from_value(object).expect("a ConfigMap")
}

fn status(result: Result<impl std::fmt::Debug, kube::Error>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Waits until a condition holds, by asking again and again.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("never: {what}"));
}

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
async fn refusals_are_those_of_kubernetes() {
    let server = server().await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    maps.create(&dry, &config_map("dry", "1")).await.expect("as if");
    assert_eq!(status(maps.get("dry").await), (404, "NotFound".into()), "a dry run writes nothing");
    let nowhere = Api::<ConfigMap>::namespaced(server.client.clone(), "nowhere");
    assert_eq!(
        status(nowhere.create(&PostParams::default(), &config_map("a", "1")).await),
        (404, "NotFound".into())
    );
    let spaces = Api::<Namespace>::all(server.client.clone());
    assert_eq!(
        status(spaces.delete("kube-system", &DeleteParams::default()).await),
        (403, "Forbidden".into())
    );
    let policies = Api::<NetworkPolicy>::namespaced(server.client.clone(), "default");
    let policy = json!({"metadata": {"name": "p"}, "spec": {"ingress": [{"from": [{}]}]}});
    let policy = serde_json::from_value(policy).expect("a policy");
    assert_eq!(
        status(policies.create(&PostParams::default(), &policy).await),
        (422, "Invalid".into())
    );
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = server().await;
    let client =
        reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let url = format!("{}/api/v1/namespaces", server.address);
    for (token, code) in [(None, 401), (Some("wrong"), 401), (Some(server.token.as_str()), 200)] {
        let mut request = client.get(&url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), code, "token {token:?}");
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body["kind"], if code == 200 { "NamespaceList" } else { "Status" });
    }
    let healthz = client.get(format!("{}/healthz", server.address)).send().await.expect("health");
    assert_eq!(healthz.text().await.expect("text"), "ok");
}

#[tokio::test]
async fn a_watch_tells_what_enters_changes_and_leaves_its_selection() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "kube-public");
    let version =
        maps.list(&ListParams::default()).await.expect("a list").metadata.resource_version;
    let params = WatchParams::default().labels("app=web").timeout(20);
    let stream = maps.watch(&params, &version.expect("a version")).await.expect("a watch");
    let mut events = Box::pin(stream);

    let label = |value: Value| Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
    let nobody = PatchParams::default();
    maps.create(&PostParams::default(), &config_map("a", "1")).await.expect("unselected");
    maps.patch("a", &nobody, &label("web".into())).await.expect("enters");
    maps.patch("a", &nobody, &Patch::Merge(json!({"data": {"key": "2"}}))).await.expect("changes");
    maps.patch("a", &nobody, &label(Value::Null)).await.expect("leaves");
    maps.patch("a", &nobody, &label("web".into())).await.expect("enters again");
    maps.delete("a", &DeleteParams::default()).await.expect("goes");

    let mut seen = Vec::new();
    while seen.len() < 5 {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("in time");
        seen.push(match event.expect("more").expect("an event") {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added", "modified", "deleted", "added", "deleted"]);
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

#[tokio::test]
async fn kube_runtime_follows_a_collection() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    for config in [
        kube::runtime::watcher::Config::default(),
        kube::runtime::watcher::Config::default().streaming_lists(),
    ] {
        let stream = kube::runtime::watcher(maps.clone(), config);
        let mut objects = Box::pin(kube::runtime::WatchStreamExt::applied_objects(stream));
        let first = tokio::time::timeout(DEADLINE, objects.try_next()).await.expect("in time");
        assert!(first.expect("no error").is_some());
    }
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
async fn what_makes_no_sense_is_refused_and_harms_nobody() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = server().await;
    let client =
        reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = format!("{maps}/kept");
    let keep = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    keep.create(&PostParams::default(), &config_map("kept", "1")).await.expect("created");
    let (json, merge, ops, apply) = (
        "application/json",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/apply-patch+yaml",
    );
    for (method, path, kind, body, code) in [
        ("POST", maps, json, "", 400),
        ("POST", maps, json, "[]", 400),
        ("POST", maps, json, "{\"metadata\": 1}", 400),
        ("POST", maps, json, "{\"metadata\": {}}", 422),
        ("POST", maps, json, "not JSON", 400),
        ("POST", maps, "application/vnd.kubernetes.protobuf", "k8s", 415),
        ("POST", maps, json, "{\"kind\": \"Secret\", \"metadata\": {\"name\": \"x\"}}", 400),
        ("PUT", &map, json, "null", 400),
        ("PUT", &map, json, "{\"metadata\": {\"name\": \"other\"}}", 400),
        ("PUT", "/api/v1/namespaces/default/configmaps", json, "{}", 405),
        ("PATCH", &map, merge, "null", 400),
        ("PATCH", &map, ops, "[{\"op\": \"replace\", \"path\": \"\", \"value\": 1}]", 422),
        ("PATCH", &map, ops, "[{\"op\": \"remove\", \"path\": \"/no\"}]", 422),
        ("PATCH", &map, json, "{}", 415),
        ("PATCH", &map, apply, "{}", 422),
        ("DELETE", &format!("{map}?propagationPolicy=Never"), json, "", 422),
        ("DELETE", &format!("{map}?dryRun=Some"), json, "", 422),
        ("GET", &format!("{maps}?labelSelector=a+b"), json, "", 400),
        ("GET", &format!("{maps}?fieldSelector=spec.x%3D1"), json, "", 400),
        ("GET", &format!("{maps}?limit=-1"), json, "", 400),
        ("GET", &format!("{maps}?continue=!"), json, "", 400),
        ("GET", &format!("{maps}?watch=1&resourceVersion=x"), json, "", 400),
        ("GET", "/api/v1/nothing", json, "", 404),
        ("GET", "/apis/no.such.group/v1/things", json, "", 404),
        ("GET", &format!("{map}/scale"), json, "", 404),
    ] {
        let method: reqwest::Method = method.parse().expect("a method");
        let response = client
            .request(method.clone(), format!("{}{path}", server.address))
            .bearer_auth(&server.token)
            .header("content-type", kind)
            .body(body.to_owned())
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status().as_u16(), code, "{method} {path} {body}");
        let status: Value = response.json().await.expect("JSON");
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)));
    }
    let kept = keep.get("kept").await.expect("still there");
    assert_eq!(kept.data, config_map("kept", "1").data, "and unharmed");
}

#[tokio::test]
async fn times_that_no_clock_can_count_are_survived() {
    let server = server().await;
    let pods = Api::<Pod>::namespaced(server.client.clone(), "default");
    let pod = json!({
        "metadata": {"name": "slow"},
        "spec": {
            "nodeName": "nowhere", "terminationGracePeriodSeconds": i64::MAX,
            "containers": [{"name": "a", "image": "a"}],
        },
    });
    let pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&PostParams::default(), &pod).await.expect("created");
    let deleted = pods.delete("slow", &DeleteParams::default()).await.expect("marked");
    assert!(deleted.left().is_some_and(|pod| pod.metadata.deletion_timestamp.is_some()));
    pods.delete("slow", &DeleteParams::default().grace_period(0)).await.expect("gone");
    assert!(pods.get_opt("slow").await.expect("an answer").is_none());
}
