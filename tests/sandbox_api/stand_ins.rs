//! Pods of images that aren't there: what stands in for their containers.

use std::time::Duration;

use futures::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use netproof_probe::wire::Protocol;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kit::{DEADLINE, Lab, agent, agent_on, condition, is_ready, phase, run};

fn pod(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}, "spec": spec,
    })
}

fn status(pod: &Pod) -> Value {
    serde_json::to_value(pod.status.as_ref().expect("a status")).expect("JSON")
}

#[tokio::test]
async fn a_stand_in_listens_where_its_image_would() {
    let lab = Lab::start().await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "early"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 90, "targetPort": 9090}]},
    }))
    .await;
    let web = pod(
        "web",
        json!({
            "initContainers": [
                {"name": "migrate", "image": "migrate"},
                {"name": "mesh", "image": "envoy", "restartPolicy": "Always",
                 "ports": [{"containerPort": 15000}]},
            ],
            "containers": [
                {"name": "nginx", "image": "nginx:1.25",
                 "ports": [{"containerPort": 80, "name": "http"},
                           {"containerPort": 53, "protocol": "UDP"}],
                 "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                 "livenessProbe": {"tcpSocket": {"port": 9999}},
                 "startupProbe": {"exec": {"command": ["/bin/true"]}}},
                {"name": "exporter", "image": "exporter", "ports": [{"containerPort": 9113}],
                 "readinessProbe": {"grpc": {"port": 9114}}},
            ],
        }),
    );
    lab.ready([agent("client"), web]).await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 7070}]},
    }))
    .await;
    let said = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| status(pod).to_string().contains("7070/tcp for the Service late"))
    };
    lab.until("web", "says where it listens", said).await;
    let address = lab.address("web").await;
    for (port, protocol, expected) in [
        (80, Protocol::Http, "application"),
        (80, Protocol::Tcp, "handshake"),
        (53, Protocol::Udp, "application"),
        (15000, Protocol::Http, "application"),
        (9113, Protocol::Http, "application"),
        (9114, Protocol::Tcp, "handshake"),
        (9999, Protocol::Tcp, "handshake"),
        (9090, Protocol::Http, "application"),
        (7070, Protocol::Http, "application"),
        (81, Protocol::Tcp, "refused"),
    ] {
        let found = lab.dial_foreign("client", &address, port, protocol).await;
        assert_eq!(found, expected, "{port} {protocol:?}");
    }
    let pod = lab.pods().get("web").await.expect("the pod");
    let status = status(&pod);
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!(status["initContainerStatuses"][1]["started"], true, "{status}");
    let conditions = status["conditions"].as_array().expect("conditions");
    let stand_in = conditions.iter().find(|one| one["type"] == "sandbox.netproof.dev/StandIn");
    let message = stand_in.expect("it is declared")["message"].as_str().expect("a message");
    for part in [
        "migrate (migrate) completes at once",
        "nginx (nginx:1.25) listens on 80/tcp, 53/udp",
        "9090/tcp for the Service early",
        "9999/tcp for its livenessProbe",
        "its exec probes count as passed",
        "exporter (exporter) listens on 9113/tcp",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn exec_into_a_stand_in_runs_what_it_has_and_names_it() {
    let lab = Lab::start().await;
    lab.ready([pod("web", json!({"containers": [{"name": "nginx", "image": "nginx"}]}))]).await;
    let (output, _) = run(&lab, "web", &["netproof-probe", "--version"]).await;
    assert!(output.starts_with("netproof-probe "), "{output}");
    let (output, status) = run(&lab, "web", &["sh", "-c", "hostname"]).await;
    assert_eq!((&*output, &status["status"]), ("web\n", &json!("Success")));
    let (_, status) = run(&lab, "web", &["sh", "-c", "true && true"]).await;
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("a stand-in has netproof-probe, cat, curl,"), "{message}");
    lab.stop().await;
}

#[tokio::test]
async fn what_is_meant_to_end_ends_and_what_is_meant_to_serve_goes_on() {
    let lab = Lab::start().await;
    let container = json!({"name": "c", "image": "busybox", "command": ["false"]});
    let server = json!({"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]});
    let once = |container: &Value| json!({"restartPolicy": "Never", "containers": [container]});
    lab.create(pod("task", once(&container))).await;
    lab.ready([pod("server", once(&server))]).await;
    lab.until("task", "succeeded", |pod: Option<&Pod>| phase(pod) == "Succeeded").await;
    let server = lab.pods().get("server").await.expect("the pod");
    assert!(is_ready(&server) && condition(&server, "sandbox.netproof.dev/StandIn"));
    lab.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_the_container_started_again() {
    let lab = Lab::start().await;
    let host = json!({
        "hostNetwork": true, "nodeName": "node-1",
        "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}],
    });
    lab.ready([pod("first", host.clone())]).await;
    lab.create(pod("second", host)).await;
    let reported = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| {
            let container = status(pod)["containerStatuses"][0].clone();
            let message = container["lastState"]["terminated"]["message"].as_str();
            container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                && message.is_some_and(|text| text.starts_with("listen on 80/tcp: another process"))
        })
    };
    lab.until("second", "says what is wrong", reported).await;
    let events = kube::Api::<Event>::namespaced(lab.client.clone(), "shop");
    let back_off = async {
        loop {
            let list = events.list(&ListParams::default()).await.expect("events");
            let of_second = list
                .items
                .iter()
                .filter(|event| event.involved_object.name.as_deref() == Some("second"));
            let reasons: Vec<_> = of_second.filter_map(|event| event.reason.clone()).collect();
            if ["Pulled", "Created", "Started", "BackOff"]
                .iter()
                .all(|wanted| reasons.iter().any(|reason| reason == wanted))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, back_off).await.expect("events of each step");
    lab.stop().await;
}

#[tokio::test]
async fn a_log_is_followed_until_the_container_ends() {
    let lab = Lab::start().await;
    let server = json!({"containers": [
        {"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]});
    lab.ready([pod("web", server)]).await;
    let params = LogParams { follow: true, ..LogParams::default() };
    let mut lines = lab.pods().log_stream("web", &params).await.expect("a log").lines();
    use futures::TryStreamExt as _;
    for expected in ["netproof stands in for shop/web", "listens on 80/tcp"] {
        let line = timeout(DEADLINE, lines.try_next()).await.expect("in time").expect("a line");
        assert_eq!(line.as_deref(), Some(expected));
    }
    lab.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 7070}]},
    }))
    .await;
    let second = timeout(DEADLINE, lines.try_next()).await.expect("in time").expect("a line");
    assert_eq!(second.as_deref(), Some("listens on 7070/tcp"));
    lab.pods().delete("web", &DeleteParams::default()).await.expect("there");
    let end = timeout(DEADLINE, lines.try_next()).await.expect("in time").expect("an end");
    assert_eq!(end, None);
    lab.stop().await;
}

#[tokio::test]
async fn a_node_that_dies_takes_its_pods_along_and_brings_them_back() {
    let lab = Lab::start().await;
    let web = |node: &str| {
        json!({"nodeName": node, "containers": [
            {"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]})
    };
    lab.ready([agent_on("client", "node-1"), pod("dies", web("node-2"))]).await;
    lab.ready([pod("lives", web("node-1"))]).await;
    let before = lab.address("dies").await;
    let fault = |name: &str, fault: &str| {
        json!({"apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "Fault",
               "metadata": {"name": name}, "spec": {"fault": fault}})
    };
    lab.create(fault("death", "fail-node=node-2")).await;
    // Packets vanish; nobody says that they do.
    let silent = async {
        while lab.dial_foreign("client", &before, 80, Protocol::Tcp).await != "timed out" {}
    };
    timeout(DEADLINE, silent).await.expect("the node is cut off");
    let refused = lab.pods().logs("dies", &LogParams::default()).await.expect_err("no kubelet");
    assert!(refused.to_string().contains("10250"), "{refused}");
    let faults = lab.objects("sandbox.netproof.dev", "v1alpha1", "Fault");
    faults.delete("death", &DeleteParams::default()).await.expect("there");
    let again = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| {
            let container = status(pod)["containerStatuses"][0].clone();
            is_ready(pod)
                && container["restartCount"] == 1
                && container["lastState"]["terminated"]["exitCode"] == 255
        })
    };
    lab.until("dies", "runs again", again).await;
    let after = lab.address("dies").await;
    let found = lab.dial_foreign("client", &after, 80, Protocol::Http).await;
    assert_eq!(found, "application");
    let lives = lab.pods().get("lives").await.expect("the pod");
    assert_eq!(status(&lives)["containerStatuses"][0]["restartCount"], 0);
    lab.stop().await;
}

#[tokio::test]
async fn a_silent_kubelet_leaves_what_runs_alone() {
    let lab = Lab::start().await;
    let web = json!({"nodeName": "node-2", "containers": [
        {"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]});
    lab.ready([agent_on("client", "node-1"), pod("web", web.clone())]).await;
    lab.create(json!({"apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "Fault",
        "metadata": {"name": "silence"}, "spec": {"fault": "kubelet-silent=node-2"}}))
        .await;
    let address = lab.address("web").await;
    let refused = async {
        while lab.pods().logs("web", &LogParams::default()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, refused).await.expect("the kubelet falls silent");
    lab.create(pod("new", web)).await;
    lab.pods().delete("web", &DeleteParams::default()).await.expect("there");
    let found = lab.dial_foreign("client", &address, 80, Protocol::Http).await;
    assert_eq!(found, "application", "it goes on");
    let new = lab.pods().get("new").await.expect("the pod");
    assert_eq!(phase(Some(&new)), "Pending");
    let faults = lab.objects("sandbox.netproof.dev", "v1alpha1", "Fault");
    faults.delete("silence", &DeleteParams::default()).await.expect("there");
    lab.until("web", "is gone", |pod: Option<&Pod>| pod.is_none()).await;
    lab.until("new", "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    lab.stop().await;
}

#[tokio::test]
async fn an_ephemeral_container_joins_a_running_pod_and_leaves_it_as_it_is() {
    let lab = Lab::start().await;
    let web = json!({"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]});
    lab.ready([pod("web", web)]).await;
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [
        {"name": "debug", "image": "busybox", "command": ["sh"], "targetContainerName": "c"},
    ]}}));
    let added = lab
        .pods()
        .patch_subresource("ephemeralcontainers", "web", &PatchParams::default(), &patch)
        .await;
    added.expect("added");
    let runs = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| {
            let found = status(pod)["ephemeralContainerStatuses"][0].clone();
            found["name"] == "debug" && found["state"]["running"].is_object() && is_ready(pod)
        })
    };
    lab.until("web", "has it", runs).await;
    let params = LogParams { container: Some("debug".into()), ..LogParams::default() };
    // A container runs from its first instant, and says its first line a little later.
    let first_line = async {
        loop {
            let log = lab.pods().logs("web", &params).await.expect("a log");
            if !log.is_empty() {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let log = timeout(DEADLINE, first_line).await.expect("it says something");
    assert_eq!(log, "netproof stands in for shop/web\n");
    lab.pods().delete("web", &DeleteParams::default()).await.expect("there");
    lab.until("web", "is gone", |pod: Option<&Pod>| pod.is_none()).await;
    lab.stop().await;
}
