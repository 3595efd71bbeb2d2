//! Nodes that fail, and budgets for disruptions.

use netproof::sandbox::api::{
    conditions,
    object::Object,
    resource::{CONFIG_MAPS, DEPLOYMENTS, NODES, POD_DISRUPTION_BUDGETS, PODS},
};
use serde_json::{Value, json};

use super::cluster::{Cluster, cluster, workload};

fn taints(cluster: &Cluster, node: &str) -> Vec<String> {
    let node = cluster.store.get(&NODES, "", node).expect("a node");
    let taints = node.items("/spec/taints").iter();
    taints.map(|taint| format!("{}:{}", taint.text("/key"), taint.text("/effect"))).collect()
}

#[tokio::test]
async fn a_silent_node_loses_its_pods() {
    let cluster = cluster(2).await;
    cluster.beat("node-1", "1");
    cluster.beat("node-2", "1");
    let mut spec = workload("web", "web", json!({"replicas": 2}));
    spec["spec"]["template"]["spec"]["tolerations"] = json!([{
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
        "tolerationSeconds": 1,
    }]);
    cluster.create(&DEPLOYMENTS, spec);
    let on = |cluster: &Cluster, node: &str| -> Vec<std::sync::Arc<Value>> {
        let mut pods = cluster.pods("web");
        pods.retain(|pod| pod["spec"]["nodeName"] == node && conditions::holds(pod, "Ready"));
        pods
    };
    cluster
        .until("one is on each", |cluster| {
            on(cluster, "node-1").len() == 1 && on(cluster, "node-2").len() == 1
        })
        .await;
    let lost = on(&cluster, "node-1")[0].name().to_owned();
    for beat in 2.. {
        cluster.beat("node-2", &beat.to_string());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        if on(&cluster, "node-2").len() == 2 {
            break;
        }
        assert!(beat < 200, "the pod never moved");
    }
    let node = cluster.store.get(&NODES, "", "node-1").expect("a node");
    let ready = node.items("/status/conditions").iter().find(|one| one["type"] == "Ready");
    assert_eq!(ready.map(|one| one["status"].clone()), Some("Unknown".into()));
    assert_eq!(
        taints(&cluster, "node-1"),
        ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
    );
    assert_eq!(taints(&cluster, "node-2"), [""; 0]);
    let said = cluster.said(&lost);
    assert!(said.iter().any(|(reason, _)| reason == "TaintManagerEviction"), "{said:?}");

    cluster.beat("node-1", "again");
    cluster.until("it is well again", |cluster| taints(cluster, "node-1").is_empty()).await;
    let node = cluster.store.get(&NODES, "", "node-1").expect("a node");
    assert!(conditions::holds(&node, "Ready"));
}

#[tokio::test]
async fn a_cordoned_node_is_tainted() {
    let cluster = cluster(1).await;
    let cordon = |on: bool| {
        cluster.store.write(|writer| {
            let mut node = Value::clone(&writer.get(&NODES, "", "node-1").expect("a node"));
            node["spec"]["unschedulable"] = on.into();
            writer.put(&NODES, node);
        });
    };
    cordon(true);
    let expected = ["node.kubernetes.io/unschedulable:NoSchedule"];
    cluster.until("it is tainted", |cluster| taints(cluster, "node-1") == expected).await;
    cordon(false);
    cluster.until("it isn't any more", |cluster| taints(cluster, "node-1").is_empty()).await;
}

#[tokio::test]
async fn a_budget_counts_what_may_be_disrupted() {
    let cluster = cluster(2).await;
    cluster.create(
        &POD_DISRUPTION_BUDGETS,
        json!({
            "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }),
    );
    let counts = |cluster: &Cluster| {
        let budget = cluster.get(&POD_DISRUPTION_BUDGETS, "web").expect("it is there");
        let of = |field: &str| budget["status"][field].as_i64().unwrap_or(-1);
        (of("expectedPods"), of("currentHealthy"), of("desiredHealthy"), of("disruptionsAllowed"))
    };
    cluster.until("nothing is there", |cluster| counts(cluster) == (0, 0, 0, 0)).await;
    cluster.create(&DEPLOYMENTS, workload("web", "web", json!({"replicas": 3})));
    cluster.until("all are counted", |cluster| counts(cluster) == (3, 3, 2, 1)).await;
    let map = cluster.create(&CONFIG_MAPS, json!({"metadata": {"name": "run"}}));
    let guest = |name: &str, controller: bool| {
        let mut owner =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "run", "uid": map.uid()});
        if controller {
            owner["controller"] = true.into();
        }
        json!({
            "metadata": {"name": name, "labels": {"app": "web"}, "ownerReferences": [owner]},
            "spec": {
                "containers": [{"name": "a", "image": "a"}],
                // It never runs, and so is nobody's replica.
                "schedulerName": "nobody",
            },
        })
    };
    cluster.create(&PODS, guest("guest", true));
    cluster.until("nobody can count", |cluster| counts(cluster).3 == 0).await;
    let expected = (
        "CalculateExpectedPodCountFailed".to_owned(),
        "Failed to calculate the number of expected pods: configmaps does not implement the scale \
         subresource"
            .to_owned(),
    );
    cluster.until("it is said", |cluster| cluster.said("web").contains(&expected)).await;
    cluster.delete(&PODS, "guest", &netproof::sandbox::api::delete::DeleteOptions::default());
    cluster.until("it is counted again", |cluster| counts(cluster) == (3, 3, 2, 1)).await;
}
