//! Endpoint slices: where each Service with a selector leads.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::{
    model::Labels,
    sandbox::{
        api::{
            conditions, names,
            object::{Object, now},
            resource::{ENDPOINT_SLICES, NODES, PODS, SERVICES},
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
        for slice in made::slices(&service, pods, &zones) {
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

mod made;
#[cfg(test)]
mod tests;
