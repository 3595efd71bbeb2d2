//! Bad weather on the wire and around it: each fault is seen, and is over when it is ended.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use netproof_probe::wire::Protocol::{Tcp, Udp};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kit::{DEADLINE, Lab, agent_on, condition, is_ready};

/// Connections between two pods that the flow log has seen enter their destination.
async fn entered(lab: &Lab, from: &str, to: &str) -> usize {
    let request = http::Request::get("/apis/sandbox.netproof.dev/v1alpha1/flows");
    let request = request.body(Vec::new()).expect("a request");
    let log = lab.client.request_text(request).await.expect("the log");
    let flows = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    flows
        .filter(|flow| {
            flow["traffic_direction"] == "INGRESS"
                && flow["source"]["pod_name"] == from
                && flow["destination"]["pod_name"] == to
        })
        .count()
}

#[tokio::test]
async fn a_way_dies_in_one_direction_or_in_both_and_heals() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2"), agent_on("c", "node-1")]).await;
    let (a, b, c) = (lab.address("a").await, lab.address("b").await, lab.address("c").await);
    lab.settles("a", &b, 8080, "b").await;

    lab.break_it("way", "dead-way=node-1,node-2").await;
    lab.settles("a", &b, 8080, "timed out").await;
    assert_eq!(lab.dial("a", &c, 8080, Tcp).await, "c", "the same node is not on that way");
    let before = (entered(&lab, "a", "b").await, entered(&lab, "b", "a").await);
    assert_eq!(lab.dial("a", &b, 8080, Udp).await, "timed out");
    assert_eq!(lab.dial("b", &a, 8080, Udp).await, "timed out", "the answer is lost");
    assert_eq!(entered(&lab, "a", "b").await, before.0, "nothing gets there");
    assert!(entered(&lab, "b", "a").await > before.1, "the other direction is alive");
    lab.mend("way").await;
    lab.settles("a", &b, 8080, "b").await;

    lab.break_it("path", "dead-path=node-1,node-2").await;
    lab.settles("a", &b, 8080, "timed out").await;
    let before = entered(&lab, "b", "a").await;
    assert_eq!(lab.dial("b", &a, 8080, Udp).await, "timed out");
    assert_eq!(entered(&lab, "b", "a").await, before, "both directions are dead");
    lab.mend("path").await;
    lab.settles("b", &a, 8080, "a").await;
    lab.stop().await;
}

#[tokio::test]
async fn what_is_lost_on_the_way_to_a_node_is_lost_there_alone() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2"), agent_on("c", "node-2")]).await;
    let (b, c) = (lab.address("b").await, lab.address("c").await);
    lab.break_it("loss", "one-way-loss=node-2,100%").await;
    lab.settles("a", &b, 8080, "timed out").await;
    assert_eq!(lab.dial("b", &c, 8080, Tcp).await, "c", "on the node nothing is lost");
    lab.mend("loss").await;
    lab.settles("a", &b, 8080, "b").await;
    lab.stop().await;
}

#[tokio::test]
async fn a_pulled_cable_is_plugged_in_again() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-1")]).await;
    let b = lab.address("b").await;
    lab.break_it("cable", "dead-interface=shop/b").await;
    lab.settles("a", &b, 8080, "timed out").await;
    lab.until("b", "is unready", |pod: Option<&Pod>| {
        pod.is_some_and(|pod| !condition(pod, "ContainersReady"))
    })
    .await;
    lab.mend("cable").await;
    lab.settles("a", &b, 8080, "b").await;
    lab.until("b", "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    let pod = serde_json::to_value(lab.pods().get("b").await.expect("the pod")).expect("JSON");
    let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(restarts, &json!(0), "its process went on");
    lab.stop().await;
}

#[tokio::test]
async fn exec_streams_are_cut_without_a_word() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1")]).await;
    let params = AttachParams::default().stdin(true).stderr(false);
    lab.break_it("cut", "exec-cut=300ms").await;
    let command = ["netproof-probe", "dial"];
    let mut session = lab.pods().exec("a", command, &params).await.expect("a session");
    let status = session.take_status().expect("a status");
    // As long as this is held the program goes on by itself.
    let _stdin = session.stdin().expect("a pipe");
    let ended = timeout(DEADLINE, session.join()).await.expect("the stream ends");
    assert!(ended.is_err(), "it is not closed, but cut");
    let status = timeout(DEADLINE, status).await.expect("in time");
    assert!(status.is_none(), "no status is told: {status:?}");
    lab.mend("cut").await;
    let mut session = lab.pods().exec("a", command, &params).await.expect("a session");
    let status = session.take_status().expect("a status");
    let cut = timeout(Duration::from_secs(2), status).await;
    assert!(cut.is_err(), "it goes on when the fault is over: {cut:?}");
    session.abort();
    lab.stop().await;
}

#[tokio::test]
async fn the_clusters_clock_goes_wrong_and_right_again() {
    let lab = Lab::start().await;
    let maps = lab.objects("", "v1", "ConfigMap");
    let made = async |name: &str| -> jiff::Timestamp {
        lab.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
            .await;
        let map = maps.get(name).await.expect("the map");
        map.metadata.creation_timestamp.expect("a time").0
    };
    let off = |time: jiff::Timestamp| time.duration_since(jiff::Timestamp::now()).as_secs();
    assert!(off(made("before").await).abs() < 30);
    for (name, fault, expected) in
        [("ahead", "clock-offset=5m", 300), ("behind", "clock-offset=-5m", -300)]
    {
        lab.break_it(name, fault).await;
        let mut tries = 0;
        let wrong = async {
            loop {
                tries += 1;
                let found = off(made(&format!("{name}-{tries}")).await);
                if (found - expected).abs() < 30 {
                    return;
                }
            }
        };
        timeout(DEADLINE, wrong).await.unwrap_or_else(|_| panic!("{fault} was never seen"));
        lab.mend(name).await;
        let mut tries = 0;
        let right = async {
            loop {
                tries += 1;
                if off(made(&format!("{name}-over-{tries}")).await).abs() < 30 {
                    return;
                }
            }
        };
        timeout(DEADLINE, right).await.unwrap_or_else(|_| panic!("{fault} was never over"));
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_meshs_proxy_takes_every_connection_before_it_knows_whether_anybody_is_there() {
    let lab = Lab::start().await;
    lab.break_it("mesh", "inject-sidecar").await;
    let mut bare = agent_on("bare", "node-1");
    bare["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("false");
    let mut web = agent_on("web", "node-2");
    web["metadata"]["annotations"] =
        json!({"traffic.sidecar.istio.io/excludeInboundPorts": "9998"});
    let mut client = agent_on("client", "node-1");
    client["metadata"]["annotations"] =
        json!({"traffic.sidecar.istio.io/excludeOutboundPorts": "9997"});
    lab.ready([bare, web, client]).await;
    let names = async |pod: &str| -> Vec<String> {
        let pod = lab.pods().get(pod).await.expect("the pod");
        pod.spec.expect("a spec").containers.into_iter().map(|one| one.name).collect()
    };
    assert_eq!(names("web").await, ["agent", "istio-proxy"]);
    assert_eq!(names("bare").await, ["agent"]);
    let pod = lab.pods().get("web").await.expect("the pod");
    let ips = pod.status.and_then(|status| status.pod_ips).expect("addresses");
    let taken = |seen: &str| seen == "handshake" || seen.starts_with("Reset");
    for address in ips.iter().map(|each| each.ip.as_str()) {
        for from in ["bare", "client", "web"] {
            let seen = lab.dial(from, address, 8080, Tcp).await;
            assert_eq!(seen, "web", "{from} through the proxies of {address}");
            let seen = lab.dial(from, address, 8080, Udp).await;
            assert_eq!(seen, "web", "{from}: they take TCP alone");
        }
        for (from, port, expected) in [
            ("bare", 9999, true),
            ("client", 9999, true),
            ("bare", 9998, false),
            ("client", 9998, true),
        ] {
            let seen = lab.dial_foreign(from, address, port, Tcp).await;
            assert_eq!(taken(&seen), expected, "{from} to {address} {port}: {seen}");
            assert!(expected || seen == "refused", "{from} to {address} {port}: {seen}");
        }
    }
    let bare = lab.address("bare").await;
    let seen = lab.dial_foreign("client", &bare, 9997, Tcp).await;
    assert_eq!(seen, "refused", "excluded on the way out");
    let seen = lab.dial_foreign("client", &bare, 9996, Tcp).await;
    assert!(taken(&seen), "its own proxy has taken it: {seen}");
    // What a policy denies is hidden behind the client's proxy.
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "nobody"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }))
    .await;
    let web = lab.address("web").await;
    lab.settles("bare", &web, 8080, "timed out").await;
    let seen = lab.dial_foreign("client", &web, 8080, Tcp).await;
    assert!(taken(&seen), "it looks open: {seen}");
    lab.stop().await;
}
