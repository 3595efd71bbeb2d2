//! What is refused, and how.

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::kit::{config_map, server, status};

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
    for (token, code) in [(None, 403), (Some("wrong"), 401), (Some(server.token.as_str()), 200)] {
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
        ("POST", maps, "application/vnd.kubernetes.protobuf", "k8s", 400),
        ("POST", maps, "application/cbor", "k8s", 415),
        ("POST", maps, "text/plain", "a=b", 415),
        ("POST", maps, json, "{\"metadata\": {\"name\": \"x\"}, \"data\": {\"a b\": \"\"}}", 422),
        ("POST", &format!("{maps}?fieldValidation=Never"), json, "{}", 422),
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
        ("GET", &format!("{maps}?continue=!"), json, "", 400),
        ("GET", &format!("{maps}?watch=1&resourceVersion=x"), json, "", 500),
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
        if path.starts_with("/apis/no") {
            // What leads to no group is told as any web server tells it.
            assert_eq!(response.text().await.expect("a body"), "404 page not found\n");
            continue;
        }
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

#[tokio::test]
async fn a_deletion_is_of_this_very_object_or_of_none() {
    let server = server().await;
    let maps = Api::<ConfigMap>::namespaced(server.client.clone(), "default");
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await.expect("new");
    let only = |uid: &str| DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.into()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert_eq!(status(maps.delete("a", &only("another")).await), (409, "Conflict".into()));
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    maps.delete("a", &dry).await.expect("as if");
    assert!(maps.get_opt("a").await.expect("an answer").is_some());
    maps.delete("a", &only(&created.metadata.uid.expect("a uid"))).await.expect("this very one");
    assert!(maps.get_opt("a").await.expect("an answer").is_none());
}
