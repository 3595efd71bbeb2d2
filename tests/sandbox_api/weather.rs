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
