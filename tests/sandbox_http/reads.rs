//! Lists and watches, as clients page through them and catch up.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::kit::{Server, server};

/// A client with the admin's token.
struct Asker<'a> {
    server: &'a Server,
    client: reqwest::Client,
}

impl<'a> Asker<'a> {
    fn of(server: &'a Server) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build();
        Self { server, client: client.expect("a client") }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> reqwest::Response {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.server.address);
        let mut request = self.client.request(method, url).bearer_auth(&self.server.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer")
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await;
        (response.status(), response.json().await.expect("JSON"))
    }

    async fn create(&self, name: &str) -> u64 {
        let map = json!({"metadata": {"name": name, "labels": {"made": "here"}}});
        let (status, map) = self.ask("POST", MAPS, Some(map)).await;
        assert_eq!(status, 201, "{map}");
        version(&map)
    }

    /// The events of a watch, until it is silent for a while or ends.
    async fn watch(&self, query: &str) -> Vec<Value> {
        let mut response = self.send("GET", &format!("{MAPS}?watch=true&{query}"), None).await;
        assert_eq!(response.status(), 200, "{query}");
        let mut text = Vec::new();
        while let Ok(Ok(Some(bytes))) =
            tokio::time::timeout(Duration::from_millis(500), response.chunk()).await
        {
            text.extend_from_slice(&bytes);
        }
        let text = String::from_utf8(text).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

const MAPS: &str = "/api/v1/namespaces/kube-public/configmaps";

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().expect("a version");
    text.parse().expect("a number")
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn pages_of_one_list_are_of_one_state() {
    let server = server().await;
    let asker = Asker::of(&server);
    for name in ["a", "b", "c", "d"] {
        asker.create(name).await;
    }
    let query = format!("{MAPS}?limit=2&labelSelector=made");
    let (_, first) = asker.ask("GET", &query, None).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert!(first["metadata"].get("remainingItemCount").is_none(), "not told with a selector");
    let token = first["metadata"]["continue"].as_str().expect("there is more");
    asker.create("bb").await;
    asker.send("DELETE", &format!("{MAPS}/c"), None).await;
    let (_, rest) = asker.ask("GET", &format!("{query}&continue={token}"), None).await;
    assert_eq!(names(&rest), ["c", "d"], "as they stood when the first page was read");
    assert_eq!(version(&rest), version(&first));
    assert!(rest["metadata"].get("continue").is_none());
    let (_, whole) = asker.ask("GET", &format!("{MAPS}?limit=1"), None).await;
    assert!(whole["metadata"]["remainingItemCount"].as_u64() >= Some(3), "{whole}");
}

#[tokio::test]
async fn versions_are_asked_for_in_four_ways() {
    let server = server().await;
    let asker = Asker::of(&server);
    let old = asker.create("a").await;
    let new = asker.create("b").await;
    let list = |query: String| {
        let path = format!("{MAPS}?labelSelector=made&{query}");
        let asker = &asker;
        async move { asker.ask("GET", &path, None).await }
    };
    for (query, expected) in [
        (format!("resourceVersion={old}&resourceVersionMatch=Exact"), &["a"][..]),
        (format!("resourceVersion={new}&resourceVersionMatch=Exact"), &["a", "b"]),
        (format!("resourceVersion={old}&resourceVersionMatch=NotOlderThan"), &["a", "b"]),
        (format!("resourceVersion={old}"), &["a", "b"]),
        ("resourceVersion=0".to_owned(), &["a", "b"]),
    ] {
        let (status, found) = list(query.clone()).await;
        assert_eq!((status.as_u16(), names(&found)), (200, expected.to_vec()), "{query}");
    }
    for (query, code, message) in [
        (
            "resourceVersionMatch=Exact".to_owned(),
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
             resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        ("resourceVersion=999999".to_owned(), 504, "Timeout: Too large resource version: 999999"),
        ("resourceVersion=x".to_owned(), 400, "Invalid value: \"x\""),
        ("continue=x".to_owned(), 400, "continue key is not valid"),
        ("limit=x".to_owned(), 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("fieldSelector=data.key%3D1".to_owned(), 400, "is not a known field selector"),
    ] {
        let (status, answer) = list(query.clone()).await;
        let text = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status.as_u16(), code, "{query}: {answer}");
        assert!(text.contains(message), "{query}: {text}");
    }
}

#[tokio::test]
async fn a_watch_list_ends_its_first_events_with_a_bookmark() {
    let server = server().await;
    let asker = Asker::of(&server);
    let first = asker.create("a").await;
    let events = asker
        .watch(
            "labelSelector=made&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
             &allowWatchBookmarks=true",
        )
        .await;
    let kinds: Vec<_> =
        events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["ADDED", "BOOKMARK"]);
    let metadata = &events[1]["object"]["metadata"];
    assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
    asker.create("b").await;
    let missed = asker.watch(&format!("labelSelector=made&resourceVersion={first}")).await;
    assert_eq!(missed.len(), 1, "only what came after: {missed:?}");
    assert_eq!(missed[0]["object"]["metadata"]["name"], "b");
    let path = format!("{MAPS}?watch=true&sendInitialEvents=true");
    let (status, answer) = asker.ask("GET", &path, None).await;
    assert_eq!(status, 422, "{answer}");
}

#[tokio::test]
async fn the_weather_is_bad_while_its_fault_exists() {
    let server = server().await;
    let asker = Asker::of(&server);
    asker.create("a").await;
    let faults = "/apis/sandbox.netproof.dev/v1alpha1/faults";
    let fault = |text: &str| json!({"metadata": {"name": "weather"}, "spec": {"fault": text}});
    for (text, code) in [("api-429=2", 429), ("api-500=2", 500), ("api-503=2", 503)] {
        let (status, answer) = asker.ask("POST", faults, Some(fault(text))).await;
        assert_eq!(status, 201, "{answer}");
        for round in 0..2 {
            let response = asker.send("GET", MAPS, None).await;
            assert_eq!(response.status().as_u16(), code, "{text}, round {round}");
            let again = response.headers().get("retry-after");
            assert_eq!(again.is_some(), code == 429, "{text}");
        }
        assert_eq!(asker.send("GET", MAPS, None).await.status(), 200, "{text} is over");
        let ended = asker.send("DELETE", &format!("{faults}/weather"), None).await;
        assert_eq!(ended.status(), 200, "{text}");
    }
    asker.ask("POST", faults, Some(fault("api-drop"))).await;
    let url = format!("{}{MAPS}", server.address);
    let cut = asker.client.get(url).bearer_auth(&server.token).send().await;
    assert!(cut.is_err(), "the connection is cut: {cut:?}");
    assert_eq!(asker.send("DELETE", &format!("{faults}/weather"), None).await.status(), 200);

    asker.ask("POST", faults, Some(fault("api-slow=300ms"))).await;
    let began = std::time::Instant::now();
    assert_eq!(asker.send("GET", MAPS, None).await.status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    asker.send("DELETE", &format!("{faults}/weather"), None).await;
}

#[tokio::test]
async fn watches_end_early_and_expire_on_demand() {
    let server = server().await;
    let asker = Asker::of(&server);
    let from = asker.create("a").await;
    let faults = "/apis/sandbox.netproof.dev/v1alpha1/faults";
    let fault = |text: &str| json!({"metadata": {"name": "weather"}, "spec": {"fault": text}});
    let path = format!("{MAPS}?watch=true&resourceVersion={from}");
    let running = asker.send("GET", &path, None).await;
    asker.ask("POST", faults, Some(fault("watch-end=200ms"))).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), running.bytes()).await;
    assert!(ended.expect("a watch that runs already ends as well").is_ok());
    asker.send("DELETE", &format!("{faults}/weather"), None).await;

    asker.ask("POST", faults, Some(fault("watch-expire"))).await;
    let events = asker.watch(&format!("resourceVersion={from}")).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["type"], &events[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
    asker.send("DELETE", &format!("{faults}/weather"), None).await;
}

#[tokio::test]
async fn evictions_ask_the_budget_first() {
    let server = server().await;
    let asker = Asker::of(&server);
    let pods = "/api/v1/namespaces/kube-public/pods";
    let pod = json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    asker.ask("POST", pods, Some(pod)).await;
    let running = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let url = format!("{}{pods}/web/status", server.address);
    let patched = asker
        .client
        .patch(url)
        .bearer_auth(&server.token)
        .header("content-type", "application/merge-patch+json")
        .body(running.to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(patched.status(), 200);
    let budgets = "/apis/policy/v1/namespaces/kube-public/poddisruptionbudgets";
    let budget = json!({
        "metadata": {"name": "all"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    assert_eq!(asker.ask("POST", budgets, Some(budget)).await.0, 201);
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"},
    });
    let (status, answer) =
        asker.ask("POST", &format!("{pods}/web/eviction"), Some(eviction.clone())).await;
    assert_eq!(status, 429, "{answer}");
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!(answer["message"], text);
    assert_eq!(answer["details"]["causes"][0]["reason"], "DisruptionBudget");
    asker.send("DELETE", &format!("{budgets}/all"), None).await;
    let (status, _) = asker.ask("POST", &format!("{pods}/web/eviction"), Some(eviction)).await;
    assert_eq!(status, 201, "no budget, no objection");
    assert_eq!(asker.send("GET", &format!("{pods}/web"), None).await.status(), 404);
}

#[tokio::test]
async fn ephemeral_containers_come_by_their_subresource_alone() {
    let server = server().await;
    let asker = Asker::of(&server);
    let pods = "/api/v1/namespaces/kube-public/pods";
    let pod = json!({
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    asker.ask("POST", pods, Some(pod)).await;
    let patch = json!({"spec": {"ephemeralContainers": [{"name": "look", "image": "look:1"}]}});
    for (path, code) in [("/web", 422), ("/web/ephemeralcontainers", 200)] {
        let url = format!("{}{pods}{path}", server.address);
        let answer = asker
            .client
            .patch(url)
            .bearer_auth(&server.token)
            .header("content-type", "application/strategic-merge-patch+json")
            .body(patch.to_string())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), code, "{path}");
    }
    let (_, pod) = asker.ask("GET", &format!("{pods}/web"), None).await;
    assert_eq!(pod["spec"]["ephemeralContainers"][0]["name"], "look");
}
