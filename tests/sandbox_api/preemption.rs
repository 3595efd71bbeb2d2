//! A pod that fits nowhere takes the place of a less important one.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Pod, scheduling::v1::PriorityClass};
use kube::{Api, api::PostParams};
use netproof_probe::wire::Protocol::Tcp;
use serde_json::{Value, json};

use super::kit::{Lab, agent, agent_on, is_ready};

/// With two of these a node has no room for a third.
fn half(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "14"}});
    // It is given time to end, and takes some of it.
    pod["spec"]["terminationGracePeriodSeconds"] = json!(20);
    pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    pod
}

fn nominated(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.nominated_node_name.as_deref()
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

#[tokio::test]
async fn a_more_important_pod_waits_until_its_victim_has_ended() {
    let lab = Lab::start().await;
    for name in ["first", "last"] {
        lab.ready([half(agent_on(name, "node-2"))]).await;
        // Which pod began later is told by whole seconds.
        let started = |pod: &Pod| pod.status.as_ref().and_then(|it| it.start_time.clone());
        let own = started(&lab.pods().get(name).await.expect("there")).expect("it runs").0;
        while jiff::Timestamp::now().as_second() <= own.as_second() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    lab.ready(["kept-a", "kept-b"].map(|name| {
        let mut pod = half(agent_on(name, "node-1"));
        pod["metadata"]["labels"]["keep"] = json!("yes");
        pod
    }))
    .await;
    // Without it the pods of node-1, which are the youngest, would weigh least.
    lab.create(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "kept", "namespace": "shop"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"keep": "yes"}}},
    }))
    .await;
    let class = json!({"metadata": {"name": "gold"}, "value": 1000});
    let class: PriorityClass = serde_json::from_value(class).expect("a class");
    let classes = Api::all(lab.client.clone());
    classes.create(&PostParams::default(), &class).await.expect("created");

    let mut vip = half(agent("vip"));
    vip["spec"]["priorityClassName"] = json!("gold");
    lab.create(vip).await;
    let is_nominated =
        |pod: Option<&Pod>| pod.is_some_and(|pod| nominated(pod).is_some() && node(pod).is_none());
    lab.until("vip", "is nominated while its victim ends", is_nominated).await;
    let vip = lab.pods().get("vip").await.expect("there");
    assert_eq!(nominated(&vip), Some("node-2"), "there no budget is broken");
    assert_eq!(vip.spec.as_ref().and_then(|spec| spec.priority), Some(1000), "of its class");

    let victim = lab.pods().get("last").await.expect("it ends gracefully");
    assert!(victim.metadata.deletion_timestamp.is_some(), "who came last is the victim");
    assert_eq!(victim.metadata.deletion_grace_period_seconds, Some(20), "its own grace");
    let conditions = victim.status.and_then(|status| status.conditions).unwrap_or_default();
    let told = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget");
    let reason = told.and_then(|condition| condition.reason.as_deref());
    assert_eq!(reason, Some("PreemptionByScheduler"), "the victim is told why");
    for name in ["kept-a", "kept-b", "first"] {
        let pod = lab.pods().get(name).await.expect("there");
        assert!(pod.metadata.deletion_timestamp.is_none(), "{name} stays");
    }

    lab.until("vip", "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    let vip = lab.pods().get("vip").await.expect("there");
    assert_eq!(node(&vip), Some("node-2"), "where it was nominated");
    assert!(lab.pods().get_opt("last").await.expect("an answer").is_none(), "its victim is gone");
    let address = lab.address("vip").await;
    assert_eq!(lab.dial("first", &address, 8080, Tcp).await, "vip", "it runs for real");
    lab.stop().await;
}
