//! A plan for programs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    event::{ClusterInfo, Direction},
    plan::{Destination, Plan, PlannedCase, PlannedObject, PlannedPod, Role, StepPlan, SuitePlan},
};

/// The whole plan.
pub(super) fn plan(plan: &Plan, info: Option<&ClusterInfo>) -> Value {
    let canaries = canaries(plan).into_iter().map(|canary| {
        json!({"node": canary.node, "direction": canary.direction.to_string(), "over": canary.over})
    });
    json!({
        "netproof": env!("CARGO_PKG_VERSION"),
        "cluster": info,
        "nodes": plan.nodes,
        "suites": plan.suites.iter().map(|suite| self::suite(plan, suite)).collect::<Vec<_>>(),
        "controlNamespace": {
            "name": plan.control_namespace.name,
            "created": plan.control_namespace.created,
        },
        "pods": plan.pods.iter().map(pod).collect::<Vec<_>>(),
        "canaries": canaries.collect::<Vec<_>>(),
        "filteredOut": plan.filtered_out,
    })
}

fn suite(plan: &Plan, suite: &SuitePlan) -> Value {
    let namespaces = suite.namespaces.iter().map(|namespace| {
        json!({"name": namespace.name, "alias": namespace.alias, "labels": namespace.labels})
    });
    json!({
        "name": suite.name,
        "namespaces": namespaces.collect::<Vec<_>>(),
        "objects": suite.objects.iter().map(object).collect::<Vec<_>>(),
        "pods": suite.pods.iter().map(|pod| &plan.pod(*pod).name).collect::<Vec<_>>(),
        "cases": suite.cases.iter().map(|case| self::case(plan, case)).collect::<Vec<_>>(),
        "steps": suite.steps.iter().map(|step| self::step(plan, step)).collect::<Vec<_>>(),
    })
}

fn object(object: &PlannedObject) -> Value {
    json!({"called": object.called(), "source": object.source, "object": object.object})
}

fn step(plan: &Plan, step: &StepPlan) -> Value {
    json!({
        "name": step.name,
        "changes": step.changes.iter().map(|change| plan.describe(change)).collect::<Vec<_>>(),
        "cases": step.cases.iter().map(|case| self::case(plan, case)).collect::<Vec<_>>(),
    })
}

fn case(plan: &Plan, case: &PlannedCase) -> Value {
    let destination = match &case.destination {
        Destination::Pod(pod) => json!({"pod": plan.pod(*pod).name}),
        Destination::Service { namespace, name } => {
            json!({"service": format!("{namespace}/{name}")})
        }
        Destination::Address(address) => json!({"ip": address}),
        Destination::Host(host) => json!({"host": host}),
    };
    json!({
        "id": case.id,
        "from": case.from,
        "to": case.to,
        "port": case.port,
        "family": case.family,
        "expect": case.expect,
        "within": humantime::format_duration(case.within).to_string(),
        "because": case.because,
        "source": plan.pod(case.source).name,
        "destination": destination,
        "controls": plan.controls_of(case),
        "location": case.location.to_string(),
    })
}

fn pod(pod: &PlannedPod) -> Value {
    let role = match &pod.role {
        Role::Peer { .. } => "peer",
        Role::StandIn { .. } => "standIn",
        Role::Newcomer { .. } => "newcomer",
        Role::Witness => "witness",
        Role::CanaryIngress => "canaryIngress",
        Role::CanaryEgress => "canaryEgress",
        Role::Marker => "marker",
    };
    let peers = match &pod.role {
        Role::Peer { names } => names.clone(),
        _ => Vec::new(),
    };
    json!({
        "name": pod.name,
        "namespace": pod.namespace,
        "namespaceCreated": pod.namespace_created,
        "node": pod.node,
        "labels": pod.labels,
        "serviceAccount": pod.service_account,
        "ports": pod.ports,
        "role": role,
        "peers": peers,
    })
}

/// Where isolation is to be proven, and over what.
pub(super) struct Canary<'a> {
    pub(super) node: &'a str,
    pub(super) direction: Direction,
    /// `TCP, UDP over ipv4`.
    pub(super) over: String,
}

/// The canaries of all nodes in use.
pub(super) fn canaries(plan: &Plan) -> Vec<Canary<'_>> {
    let transports: BTreeSet<_> =
        plan.cases().map(|case| case.port.protocol.transport().name()).collect();
    let families: BTreeSet<String> = plan.cases().map(|case| case.family.to_string()).collect();
    let list = |set: Vec<&str>| set.join(", ");
    let over = format!(
        "{} over {}",
        list(transports.into_iter().collect()),
        list(families.iter().map(String::as_str).collect())
    );
    let nodes = plan.controls.keys();
    nodes
        .flat_map(|node| {
            [Direction::Ingress, Direction::Egress].map(|direction| Canary {
                node,
                direction,
                over: over.clone(),
            })
        })
        .collect()
}
