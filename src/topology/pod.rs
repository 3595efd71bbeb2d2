//! Pods, and what a pod template says of them.

use std::net::IpAddr;

use serde_json::Value;

use super::build::{labels, namespace, text};
use crate::model::{Family, IpProtocol, NamedPort, Pod, Workload};

/// Reads a pod. One that has ended is passed over: its address may be another's by now.
pub(super) fn read(object: &Value, default: &str) -> Option<Pod> {
    if text(object, "/kind") != "Pod" || text(object, "/apiVersion") != "v1" {
        return None;
    }
    if matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    let name = match text(object, "/metadata/name") {
        "" => text(object, "/metadata/generateName").trim_end_matches('-'),
        name => name,
    };
    let owner = owner(object);
    let workload = owner.unwrap_or_else(|| Workload {
        kind: "Pod".to_owned(),
        name: name.to_owned(),
        replicas: Some(1),
    });
    let spec = object.pointer("/spec").unwrap_or(&Value::Null);
    let template = Template::read(spec);
    Some(Pod {
        namespace: namespace(object, default).to_owned(),
        name: name.to_owned(),
        labels: labels(object),
        addresses: addresses(object),
        ports: template.ports,
        host_network: template.host_network,
        node: template.node,
        service_account: template.service_account,
        workload: Some(workload),
    })
}

/// The controller that made a pod; a ReplicaSet of a Deployment counts as the Deployment.
fn owner(object: &Value) -> Option<Workload> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let is_controller = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
    let owner = owners.iter().find(is_controller)?;
    let (kind, name) = (text(owner, "/kind"), text(owner, "/name"));
    let hash = text(object, "/metadata/labels/pod-template-hash");
    let deployment = name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
    let (kind, name) = match (kind, deployment) {
        ("ReplicaSet", Some(name)) if !hash.is_empty() => ("Deployment", name),
        other => (other.0, name),
    };
    Some(Workload { kind: kind.to_owned(), name: name.to_owned(), replicas: None })
}

/// `status.podIPs`, or `status.podIP` alone; at most one a family.
fn addresses(object: &Value) -> Vec<IpAddr> {
    let listed = object.pointer("/status/podIPs").and_then(Value::as_array);
    let mut texts: Vec<&str> =
        listed.into_iter().flatten().map(|entry| text(entry, "/ip")).collect();
    texts.push(text(object, "/status/podIP"));
    let mut found: Vec<IpAddr> = Vec::new();
    for address in texts.into_iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
        if found.iter().all(|other| Family::of(*other) != Family::of(address)) {
            found.push(address);
        }
    }
    found
}

/// What a pod's spec says that policies can see.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) ports: Vec<NamedPort>,
    pub(super) host_network: bool,
    pub(super) node: Option<String>,
    pub(super) service_account: Option<String>,
}

impl Template {
    pub(super) fn read(spec: &Value) -> Self {
        let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
        // A sidecar is an init container that goes on running.
        let sidecars = list("initContainers")
            .filter(|container| text(container, "/restartPolicy") == "Always");
        let ports = list("containers").chain(sidecars).flat_map(container_ports).collect();
        let known =
            |field: &str| spec.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        Self {
            ports,
            host_network: spec.get("hostNetwork") == Some(&Value::Bool(true)),
            node: known("nodeName").map(str::to_owned),
            service_account: known("serviceAccountName").map(str::to_owned),
        }
    }
}

fn container_ports(container: &Value) -> Vec<NamedPort> {
    let ports = container.get("ports").and_then(Value::as_array);
    let read = |port: &Value| {
        let number = port.get("containerPort")?.as_u64()?;
        let protocol = match text(port, "/protocol") {
            "" => IpProtocol::Tcp,
            text => IpProtocol::WITH_PORTS.into_iter().find(|known| known.name() == text)?,
        };
        let name = Some(text(port, "/name")).filter(|name| !name.is_empty());
        let number = u16::try_from(number).ok().filter(|number| *number > 0)?;
        Some(NamedPort { name: name.map(str::to_owned), number, protocol })
    };
    ports.into_iter().flatten().filter_map(read).collect()
}
