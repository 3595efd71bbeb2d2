//! The slices that a Service should have.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Candidate, MANAGER, MANAGER_LABEL, SERVICE_LABEL};
use crate::sandbox::api::{conditions, object::Object, selector::Selector};

/// The most endpoints that one slice holds.
const MOST: usize = 100;

/// A Service's ports as one pod has them: name, protocol, number and application protocol.
type Ports = Vec<(String, String, u16, Option<String>)>;

/// The slices that a Service should have, for each of its families: one for each way in
/// which the pods map its ports, or an empty one; more where there are too many endpoints.
pub(super) fn slices(
    service: &Value,
    pods: &[Candidate],
    zones: &BTreeMap<String, String>,
) -> Vec<Value> {
    let selector = Selector::from_map(&service["spec"]["selector"]);
    let chosen: Vec<_> = pods.iter().filter(|pod| selector.matches(&pod.labels)).collect();
    let mut all = Vec::new();
    let families = service.items("/spec/ipFamilies").iter().filter_map(Value::as_str);
    let families: Vec<_> = families.collect();
    // A Service that was stored before there were families.
    let families = if families.is_empty() { vec!["IPv4"] } else { families };
    for family in families {
        let mut groups = BTreeMap::<Ports, Vec<Value>>::new();
        let mut seen = HashSet::new();
        for Candidate { pod, .. } in &chosen {
            let Some(address) = address(pod, family) else { continue };
            // An address that is taken over belongs to the pod that has not ended.
            if seen.insert(address) {
                let endpoint = endpoint(service, pod, address, zones);
                groups.entry(ports(service, pod)).or_default().push(endpoint);
            }
        }
        if groups.is_empty() {
            groups.insert(Vec::new(), Vec::new());
        }
        for (ports, endpoints) in groups {
            let mut chunks: Vec<_> = endpoints.chunks(MOST).collect();
            if chunks.is_empty() {
                chunks.push(&[]);
            }
            for (number, chunk) in chunks.into_iter().enumerate() {
                all.push(slice(service, family, &ports, number, chunk));
            }
        }
    }
    all
}

/// A pod's address of a family.
fn address<'a>(pod: &'a Value, family: &str) -> Option<&'a str> {
    let listed = pod.items("/status/podIPs").iter().map(|each| each.text("/ip"));
    let mut all = listed.chain([pod.text("/status/podIP")]);
    let of_family = |address: &&str| match address.parse::<IpAddr>() {
        Ok(address) => address.is_ipv4() == (family == "IPv4"),
        Err(_) => false,
    };
    all.find(of_family)
}

fn ports(service: &Value, pod: &Value) -> Ports {
    let mut ports: Ports = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            let protocol = port.text("/protocol");
            let number = target(port, protocol, pod)?;
            let application = port.get("appProtocol").and_then(Value::as_str).map(str::to_owned);
            Some((port.text("/name").to_owned(), protocol.to_owned(), number, application))
        })
        .collect();
    ports.sort();
    ports
}

/// The number of a Service's port on a pod. A name that the pod doesn't have is none.
fn target(port: &Value, protocol: &str, pod: &Value) -> Option<u16> {
    let number = match &port["targetPort"] {
        Value::String(name) if name.parse::<u16>().is_err() => {
            let sidecars = pod
                .items("/spec/initContainers")
                .iter()
                .filter(|container| container.text("/restartPolicy") == "Always");
            pod.items("/spec/containers")
                .iter()
                .chain(sidecars)
                .flat_map(|container| container.items("/ports"))
                .find(|port| port.text("/name") == name && port.text("/protocol") == protocol)?
                .get("containerPort")?
                .as_u64()?
        }
        Value::String(number) => number.parse().ok()?,
        number => number.as_u64().filter(|number| *number > 0).or_else(|| port["port"].as_u64())?,
    };
    u16::try_from(number).ok()
}

fn endpoint(
    service: &Value,
    pod: &Value,
    address: &str,
    zones: &BTreeMap<String, String>,
) -> Value {
    let serving = conditions::holds(pod, "Ready");
    let published = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    let ready = published || (serving && !pod.is_deleting());
    let node = pod.text("/spec/nodeName");
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {
            "ready": ready,
            "serving": serving,
            "terminating": pod.is_deleting(),
        },
        "nodeName": node,
        "targetRef": {
            "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid(),
        },
    });
    let near = service.text("/spec/trafficDistribution");
    let mut hints = json!({});
    if let Some(zone) = zones.get(node) {
        endpoint["zone"] = zone.as_str().into();
        if !near.is_empty() {
            hints["forZones"] = json!([{"name": zone}]);
        }
    }
    if near == "PreferSameNode" {
        hints["forNodes"] = json!([{"name": node}]);
    }
    if ready && hints != json!({}) {
        endpoint["hints"] = hints;
    }
    let hostname = pod.text("/spec/hostname");
    if !hostname.is_empty() && pod.text("/spec/subdomain") == service.name() {
        endpoint["hostname"] = hostname.into();
    }
    endpoint
}

fn slice(
    service: &Value,
    family: &str,
    ports: &Ports,
    number: usize,
    endpoints: &[Value],
) -> Value {
    // The same ports make the same name, so that a slice is changed and not replaced.
    let digest = Sha256::digest(format!("{} {family} {ports:?} {number}", service.uid()));
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let suffix: String = digest.iter().take(5).map(letter).collect();
    let mut labels: BTreeMap<_, _> = service.labels();
    labels.insert(SERVICE_LABEL.into(), service.name().into());
    labels.insert(MANAGER_LABEL.into(), MANAGER.into());
    if service.text("/spec/clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, protocol, port, application)| {
            let mut port = json!({"name": name, "protocol": protocol, "port": port});
            if let Some(application) = application {
                port["appProtocol"] = application.as_str().into();
            }
            port
        })
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
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    })
}
