//! Endpoint slices: where each Service with a selector leads.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::sandbox::api::{
    conditions, names,
    object::{Object, now},
    resource::{ENDPOINT_SLICES, PODS, SERVICES},
    selector::Selector,
    store::{Event, Store, Writer},
};

/// The label of a slice that names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// Keeps the slices in step with Services and pods until cancelled.
pub async fn slice_endpoints(store: Arc<Store>, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        [&SERVICES, &PODS, &ENDPOINT_SLICES].contains(&event.resource)
    }
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || store.write(pass)).await;
}

fn pass(writer: &mut Writer<'_>) {
    let mut stale: BTreeMap<(String, String), Arc<Value>> = writer
        .list(&ENDPOINT_SLICES, None)
        .into_iter()
        .filter(|slice| slice.labels().get(MANAGER_LABEL).is_some_and(|name| name == MANAGER))
        .map(|slice| ((slice.namespace().to_owned(), slice.name().to_owned()), slice))
        .collect();
    for service in writer.list(&SERVICES, None) {
        let selector = service.pointer("/spec/selector").and_then(Value::as_object);
        let selects = selector.is_some_and(|selector| !selector.is_empty());
        if !selects || service.text("/spec/type") == "ExternalName" {
            continue;
        }
        let pods = writer.list(&PODS, Some(service.namespace()));
        for slice in slices(&service, &pods) {
            let place = (slice.namespace().to_owned(), slice.name().to_owned());
            let before = stale.remove(&place);
            put(writer, slice, before.as_deref());
        }
    }
    for (namespace, name) in stale.into_keys() {
        writer.remove(&ENDPOINT_SLICES, &namespace, &name);
    }
}

fn put(writer: &mut Writer<'_>, mut slice: Value, before: Option<&Value>) {
    let kept = ["uid", "creationTimestamp", "generation"];
    let metadata = slice.metadata_mut();
    match before {
        Some(before) => {
            for field in kept {
                if let Some(value) = before.pointer(&format!("/metadata/{field}")) {
                    metadata.insert(field.into(), value.clone());
                }
            }
        }
        None => {
            metadata.insert("uid".into(), names::uid().into());
            metadata.insert("creationTimestamp".into(), now().into());
            metadata.insert("generation".into(), 1.into());
        }
    }
    writer.put(&ENDPOINT_SLICES, slice);
}

/// A Service's ports as one pod has them: name, protocol and number.
type Ports = Vec<(String, String, u16)>;

/// The slices that a Service should have: one for each way in which the pods map its
/// ports, or an empty one.
fn slices(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let selector = Selector::from_map(&service["spec"]["selector"]);
    let mut groups = BTreeMap::<Ports, Vec<Value>>::new();
    let mut seen = HashSet::new();
    for pod in pods {
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        let address = pod.text("/status/podIP");
        if ended || address.is_empty() || !selector.matches(&pod.labels()) {
            continue;
        }
        // An address that is taken over belongs to the pod that has not ended.
        if seen.insert(address) {
            groups.entry(ports(service, pod)).or_default().push(endpoint(service, pod));
        }
    }
    if groups.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    groups.into_iter().map(|(ports, endpoints)| slice(service, &ports, endpoints)).collect()
}

fn ports(service: &Value, pod: &Value) -> Ports {
    let mut ports: Ports = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            let protocol = port.text("/protocol");
            let number = target(port, protocol, pod)?;
            Some((port.text("/name").to_owned(), protocol.to_owned(), number))
        })
        .collect();
    ports.sort();
    ports
}

/// The number of a Service's port on a pod. A name that the pod doesn't have is none.
fn target(port: &Value, protocol: &str, pod: &Value) -> Option<u16> {
    let number = match &port["targetPort"] {
        Value::String(name) if name.parse::<u16>().is_err() => pod
            .items("/spec/containers")
            .iter()
            .flat_map(|container| container.items("/ports"))
            .find(|port| port.text("/name") == name && port.text("/protocol") == protocol)?
            .get("containerPort")?
            .as_u64()?,
        Value::String(number) => number.parse().ok()?,
        number => number.as_u64().or_else(|| port["port"].as_u64())?,
    };
    u16::try_from(number).ok()
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let serving = conditions::holds(pod, "Ready");
    let published = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    let mut endpoint = json!({
        "addresses": [pod.text("/status/podIP")],
        "conditions": {
            "ready": published || (serving && !pod.is_deleting()),
            "serving": serving,
            "terminating": pod.is_deleting(),
        },
        "nodeName": pod.text("/spec/nodeName"),
        "targetRef": {
            "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid(),
        },
    });
    let hostname = pod.text("/spec/hostname");
    if !hostname.is_empty() && pod.text("/spec/subdomain") == service.name() {
        endpoint["hostname"] = hostname.into();
    }
    endpoint
}

fn slice(service: &Value, ports: &Ports, endpoints: Vec<Value>) -> Value {
    // The same ports make the same name, so that a slice is changed and not replaced.
    let digest = Sha256::digest(format!("{} {ports:?}", service.uid()));
    let suffix: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    let mut labels: BTreeMap<_, _> = service.labels();
    labels.insert(SERVICE_LABEL.into(), service.name().into());
    labels.insert(MANAGER_LABEL.into(), MANAGER.into());
    if service.text("/spec/clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{suffix}", service.name()),
            "generateName": format!("{}-", service.name()),
            "namespace": service.namespace(),
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": service.name(),
                "uid": service.uid(), "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

/// Where a Service's port leads: the endpoints that are ready, or, if none is, those that
/// still serve while they end.
pub(super) fn backends(slices: &[&Arc<Value>], port: &str) -> BTreeSet<(std::net::IpAddr, u16)> {
    let collect = |fits: fn(&Value) -> bool| -> BTreeSet<_> {
        slices
            .iter()
            .flat_map(|slice| {
                let ports = slice.items("/ports").iter();
                let number = ports
                    .filter(|known| known.text("/name") == port)
                    .find_map(|known| u16::try_from(known.get("port")?.as_u64()?).ok());
                let endpoints = slice.items("/endpoints").iter();
                endpoints.filter(move |endpoint| fits(&endpoint["conditions"])).flat_map(
                    move |endpoint| {
                        let addresses = endpoint.items("/addresses").iter();
                        addresses.filter_map(move |address| {
                            Some((address.as_str()?.parse().ok()?, number?))
                        })
                    },
                )
            })
            .collect()
    };
    // In a slice of somebody else's making, nothing said means ready.
    let ready = collect(|conditions| conditions["ready"] != false);
    if ready.is_empty() {
        collect(|conditions| conditions["serving"] == true && conditions["terminating"] == true)
    } else {
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, address: &str, ready: bool, port: u16) -> Arc<Value> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "ports": [
                {"name": "http", "containerPort": port, "protocol": "TCP"},
            ]}]},
            "status": {"podIP": address, "phase": "Running"},
        });
        conditions::set(&mut pod, "Ready", ready, "", "");
        Arc::new(pod)
    }

    fn service() -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
            "spec": {"selector": {"app": "web"}, "ports": [
                {"name": "main", "port": 80, "protocol": "TCP", "targetPort": "http"},
            ]},
        })
    }

    fn leads_to(slices: Vec<Value>) -> Vec<String> {
        let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
        let slices: Vec<_> = slices.iter().collect();
        let backends = backends(&slices, "main");
        backends.iter().map(|(address, port)| format!("{address}:{port}")).collect()
    }

    #[test]
    fn a_service_leads_to_its_ready_pods_each_by_its_own_port() {
        let pods = [
            pod("a", "10.0.0.1", true, 8080),
            pod("b", "10.0.0.2", true, 9090),
            pod("c", "10.0.0.3", false, 8080),
        ];
        let slices = slices(&service(), &pods);
        assert_eq!(slices.len(), 2, "two ways to map the port");
        assert_eq!(leads_to(slices), ["10.0.0.1:8080", "10.0.0.2:9090"]);
    }

    #[test]
    fn published_addresses_need_not_be_ready() {
        let mut service = service();
        service["spec"]["publishNotReadyAddresses"] = true.into();
        let pods = [pod("c", "10.0.0.3", false, 8080)];
        assert_eq!(leads_to(slices(&service, &pods)), ["10.0.0.3:8080"]);
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice_and_leads_nowhere() {
        let slices = slices(&service(), &[]);
        assert_eq!(slices.len(), 1);
        assert_eq!(leads_to(slices), [""; 0]);
    }

    #[test]
    fn a_terminating_pod_serves_only_while_nobody_else_does() {
        let mut ending = Value::clone(&pod("a", "10.0.0.1", true, 8080));
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let ending = Arc::new(ending);
        assert_eq!(leads_to(slices(&service(), std::slice::from_ref(&ending))), ["10.0.0.1:8080"]);
        let pods = [ending, pod("b", "10.0.0.2", true, 8080)];
        assert_eq!(leads_to(slices(&service(), &pods)), ["10.0.0.2:8080"]);
    }
}
