//! What is told before anything is created.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::{DaemonSet, ReplicaSet},
    core::v1::Service,
};
use kube::Api;
use netproof::{
    cluster::{Severity, preflight},
    plan::{ControlNamespace, Plan, PlannedPod, PodIndex, SuitePlan},
};
use serde_json::json;

use crate::lab::{Lab, object};

fn plan(lab: &Lab, pods: Vec<PlannedPod>) -> Plan {
    let run = lab.context.run().clone();
    Plan {
        nodes: lab.nodes.clone(),
        control_namespace: ControlNamespace { name: format!("np-{run}-control"), created: true },
        run,
        controls: BTreeMap::new(),
        suites: vec![SuitePlan {
            steps: Vec::new(),
            name: "test".into(),
            namespaces: Vec::new(),
            objects: Vec::new(),
            pods: (0..pods.len()).map(PodIndex).collect(),
            cases: Vec::new(),
        }],
        pods,
        filtered_out: 0,
    }
}

#[tokio::test]
async fn a_plan_without_trouble_gives_no_findings() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let found = preflight(&lab.context, &plan(&lab, vec![lab.pod("shop", "web", &[])])).await;
    let found = found.unwrap();
    assert_eq!(found.findings, []);
    assert!(found.adopted.is_empty());
}

#[tokio::test]
async fn namespaces_must_be_as_planned() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let mut plan = plan(&lab, vec![lab.pod("nowhere", "web", &[])]);
    plan.control_namespace.name = "shop".into();
    let found = preflight(&lab.context, &plan).await.unwrap();
    let told: Vec<_> =
        found.findings.iter().map(|one| (one.severity, one.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (Severity::Refuse, "namespace nowhere does not exist"),
            (Severity::Refuse, "namespace shop exists already, and is never taken over"),
        ]
    );
}

#[tokio::test]
async fn whoever_would_take_a_guest_for_its_own_is_found() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let create = json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            // There is no such node: what it would adopt counts, not what it would make.
            "nodeSelector": {"nowhere": "true"},
            "containers": [{"name": "web", "image": "web"}],
        }},
    }});
    let sets: Api<DaemonSet> = Api::namespaced(lab.client.clone(), "shop");
    let set = serde_json::from_value(create).unwrap();
    sets.create(&Default::default(), &set).await.unwrap();
    let services: Api<Service> = Api::namespaced(lab.client.clone(), "shop");
    let service = json!({"metadata": {"name": "api"}, "spec": {
        "selector": {"app": "api"}, "ports": [{"port": 80}],
    }});
    let service = serde_json::from_value(service).unwrap();
    services.create(&Default::default(), &service).await.unwrap();

    let (web, api, db) =
        (lab.pod("shop", "web", &[]), lab.pod("shop", "api", &[]), lab.pod("shop", "db", &[]));
    let name = api.name.clone();
    let found = preflight(&lab.context, &plan(&lab, vec![web, api, db])).await.unwrap();
    assert_eq!(found.adopted, [PodIndex(0)].into());
    let told: Vec<_> =
        found.findings.iter().map(|one| (one.severity, one.message.clone())).collect();
    let expected = format!(
        "Service shop/api selects probe pods ({name}); a readiness gate keeps its traffic off them"
    );
    assert_eq!(told, [(Severity::Warn, expected)]);
}

#[tokio::test]
async fn a_controller_in_the_suites_own_manifests_is_found_too() {
    let lab = Lab::new().await;
    lab.foreign_namespace("shop").await;
    let mut plan = plan(&lab, vec![lab.pod("shop", "web", &[]), lab.pod("shop", "db", &[])]);
    plan.suites[0].objects.push(object(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    })));
    let found = preflight(&lab.context, &plan).await.unwrap();
    assert_eq!((found.adopted, found.findings), ([PodIndex(0)].into(), vec![]));
    let sets: Api<ReplicaSet> = Api::namespaced(lab.client.clone(), "shop");
    assert!(sets.list(&Default::default()).await.unwrap().items.is_empty(), "nothing is created");
}
