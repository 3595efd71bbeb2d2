//! Endpoint slices: where each Service with a selector leads.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::{
    model::Labels,
    sandbox::{
        api::{
            conditions, names,
            object::{Object, now},
            resource::{ENDPOINT_SLICES, NODES, PODS, SERVICES},
            selector::Selector,
            store::{Change, Event, Store, Writer},
        },
        firewall::EndpointEntry,
    },
};

/// The label of a slice that names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// The most endpoints that one slice holds.
const MOST: usize = 100;

/// Keeps the slices in step with Services and pods until cancelled.
pub async fn slice_endpoints(store: Arc<Store>, cancel: CancellationToken) {
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || store.write(pass)).await;
}

/// Whether an event can change a slice. Of pods it is the few facts that endpoints are made
/// of, for pods change often.
fn wanted(event: &Event) -> bool {
    if event.resource != &PODS {
        return [&SERVICES, &ENDPOINT_SLICES, &NODES].contains(&event.resource);
    }
    let facts = |pod: &Value| {
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        let state = (ended, pod.is_deleting(), conditions::holds(pod, "Ready"));
        (pod.pointer("/status/podIPs").cloned(), pod.labels(), state)
    };
    let before = event.previous.as_ref().map(|pod| facts(pod));
    event.change == Change::Deleted || before != Some(facts(&event.object))
}

/// A pod that may stand behind a Service.
struct Candidate {
    pod: Arc<Value>,
    labels: Labels,
}

fn pass(writer: &mut Writer<'_>) {
    let mut stale: BTreeMap<(String, String), Arc<Value>> = writer
        .list(&ENDPOINT_SLICES, None)
        .into_iter()
        .filter(|slice| slice.labels().get(MANAGER_LABEL).is_some_and(|name| name == MANAGER))
        .map(|slice| ((slice.namespace().to_owned(), slice.name().to_owned()), slice))
        .collect();
    let zones: BTreeMap<String, String> = writer
        .list(&NODES, None)
        .iter()
        .filter_map(|node| Some((node.name().to_owned(), node.labels().remove(ZONE_LABEL)?)))
        .collect();
    let mut pods = BTreeMap::<String, Vec<Candidate>>::new();
    for service in writer.list(&SERVICES, None) {
        let selector = service.pointer("/spec/selector").and_then(Value::as_object);
        let selects = selector.is_some_and(|selector| !selector.is_empty());
        if !selects || service.text("/spec/type") == "ExternalName" {
            continue;
        }
        let namespace = service.namespace();
        let pods = pods
            .entry(namespace.to_owned())
            .or_insert_with(|| candidates(writer.list(&PODS, Some(namespace))));
        for slice in slices(&service, pods, &zones) {
            let place = (slice.namespace().to_owned(), slice.name().to_owned());
            let before = stale.remove(&place);
            put(writer, slice, before.as_deref());
        }
    }
    for (namespace, name) in stale.into_keys() {
        writer.remove(&ENDPOINT_SLICES, &namespace, &name);
    }
}

fn candidates(pods: Vec<Arc<Value>>) -> Vec<Candidate> {
    let live = pods.into_iter().filter(|pod| {
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        !ended && !pod.text("/status/podIP").is_empty()
    });
    live.map(|pod| Candidate { labels: pod.labels(), pod }).collect()
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
            let same = |slice: &Value| (slice["endpoints"].clone(), slice["ports"].clone());
            if same(before) != same(&slice)
                && let Some(generation) = before.pointer("/metadata/generation")
            {
                let next = generation.as_u64().unwrap_or_default() + 1;
                slice.metadata_mut().insert("generation".into(), next.into());
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

/// A Service's ports as one pod has them: name, protocol, number and application protocol.
type Ports = Vec<(String, String, u16, Option<String>)>;

/// The slices that a Service should have, for each of its families: one for each way in
/// which the pods map its ports, or an empty one; more where there are too many endpoints.
fn slices(service: &Value, pods: &[Candidate], zones: &BTreeMap<String, String>) -> Vec<Value> {
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

/// Where a Service's port leads: the endpoints that are ready, and those that still serve
/// while they end, which stand in where none is ready.
pub(super) fn backends(slices: &[&Arc<Value>], port: &str) -> Vec<EndpointEntry> {
    let mut backends = BTreeMap::new();
    for slice in slices {
        // Names are nobody's addresses.
        if slice.text("/addressType") == "FQDN" {
            continue;
        }
        let number = slice
            .items("/ports")
            .iter()
            .filter(|known| known.text("/name") == port)
            .find_map(|known| u16::try_from(known.get("port")?.as_u64()?).ok());
        let Some(number) = number else { continue };
        for endpoint in slice.items("/endpoints") {
            let conditions = &endpoint["conditions"];
            // In a slice of somebody else's making, nothing said means ready.
            let ready = conditions["ready"] != false;
            let leaving = conditions["serving"] == true && conditions["terminating"] == true;
            if !ready && !leaving {
                continue;
            }
            let node = endpoint.text("/nodeName").to_owned();
            for address in endpoint.items("/addresses") {
                if let Some(address) = address.as_str().and_then(|text| text.parse().ok()) {
                    let entry = EndpointEntry { address, port: number, node: node.clone(), ready };
                    // Listed twice, it counts as what is better of it.
                    let known = backends.entry((address, number)).or_insert_with(|| entry.clone());
                    known.ready |= ready;
                }
            }
        }
    }
    backends.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, last: u8, ready: bool, port: u16) -> Arc<Value> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "ports": [
                {"name": "http", "containerPort": port, "protocol": "TCP"},
            ]}]},
            "status": {"phase": "Running", "podIP": format!("10.0.0.{last}"), "podIPs": [
                {"ip": format!("10.0.0.{last}")}, {"ip": format!("fd00::{last}")},
            ]},
        });
        conditions::set(&mut pod, "Ready", ready, "", "");
        Arc::new(pod)
    }

    fn service() -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
            "spec": {"selector": {"app": "web"}, "ipFamilies": ["IPv4"], "ports": [
                {"name": "main", "port": 80, "protocol": "TCP", "targetPort": "http"},
            ]},
        })
    }

    fn of(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
        let zones = BTreeMap::from([("node-1".to_owned(), "here".to_owned())]);
        slices(service, &candidates(pods.to_vec()), &zones)
    }

    /// Where the Service leads; in brackets, what only stands in.
    fn leads_to(slices: Vec<Value>) -> Vec<String> {
        let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
        let slices: Vec<_> = slices.iter().collect();
        let text = |entry: EndpointEntry| {
            let place = std::net::SocketAddr::from((entry.address, entry.port));
            if entry.ready { place.to_string() } else { format!("({place})") }
        };
        backends(&slices, "main").into_iter().map(text).collect()
    }

    #[test]
    fn a_service_leads_to_its_ready_pods_each_by_its_own_port() {
        let pods = [pod("a", 1, true, 8080), pod("b", 2, true, 9090), pod("c", 3, false, 8080)];
        let slices = of(&service(), &pods);
        assert_eq!(slices.len(), 2, "two ways to map the port");
        assert_eq!(leads_to(slices), ["10.0.0.1:8080", "10.0.0.2:9090"]);
    }

    #[test]
    fn each_family_has_slices_of_its_own() {
        let mut service = service();
        service["spec"]["ipFamilies"] = json!(["IPv6", "IPv4"]);
        service["spec"]["trafficDistribution"] = "PreferSameZone".into();
        let slices = of(&service, &[pod("a", 1, true, 8080)]);
        let kinds: Vec<_> = slices.iter().map(|slice| slice.text("/addressType")).collect();
        assert_eq!(kinds, ["IPv6", "IPv4"]);
        let names: HashSet<_> = slices.iter().map(Object::name).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let endpoint = &slices[0]["endpoints"][0];
        assert_eq!(endpoint["zone"], "here");
        assert_eq!(endpoint["hints"], json!({"forZones": [{"name": "here"}]}));
        assert_eq!(leads_to(slices), ["10.0.0.1:8080", "[fd00::1]:8080"]);
    }

    #[test]
    fn many_endpoints_fill_several_slices() {
        let pods: Vec<_> = (0..=u8::MAX).map(|last| pod("p", last, true, 8080)).collect();
        let slices = of(&service(), &pods);
        let sizes: Vec<_> = slices.iter().map(|slice| slice.items("/endpoints").len()).collect();
        assert_eq!(sizes, [100, 100, 56]);
    }

    #[test]
    fn published_addresses_need_not_be_ready() {
        let mut service = service();
        service["spec"]["publishNotReadyAddresses"] = true.into();
        let pods = [pod("c", 3, false, 8080)];
        assert_eq!(leads_to(of(&service, &pods)), ["10.0.0.3:8080"]);
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice_and_leads_nowhere() {
        let slices = of(&service(), &[]);
        assert_eq!(slices.len(), 1);
        assert_eq!(leads_to(slices), [""; 0]);
    }

    #[test]
    fn a_terminating_pod_only_stands_in() {
        let mut ending = Value::clone(&pod("a", 1, true, 8080));
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let pods = [Arc::new(ending), pod("b", 2, true, 8080)];
        assert_eq!(leads_to(of(&service(), &pods)), ["(10.0.0.1:8080)", "10.0.0.2:8080"]);
    }
}
