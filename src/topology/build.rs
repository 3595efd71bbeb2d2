//! API objects to a topology.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

use super::{pod, service, workload};
use crate::model::{Labels, Node, Topology};

/// A topology, and what had to be assumed for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    /// What stands there.
    pub topology: Topology,
    /// What was assumed or passed over, a sentence each.
    pub notes: Vec<String>,
}

/// Builds a topology of objects: namespaces, nodes, pods, Services, EndpointSlices, and
/// whatever has a pod template. Objects of other kinds are passed over. An object without
/// a namespace is in the one that is given here, as `kubectl apply` would put it there.
pub fn build<'a>(objects: impl IntoIterator<Item = &'a Value>, namespace: &str) -> Built {
    let objects: Vec<&Value> = objects.into_iter().collect();
    let mut namespaces = BTreeMap::new();
    let (mut nodes, mut services, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for object in &objects {
        match (text(object, "/apiVersion"), text(object, "/kind")) {
            ("v1", "Namespace") => {
                namespaces.insert(text(object, "/metadata/name").to_owned(), labels(object));
            }
            ("v1", "Node") => nodes.push(node(object)),
            ("v1", "Service") => services.push(service::read(object, namespace)),
            _ => {}
        }
    }
    service::add_endpoints(&mut services, &objects, namespace);
    let mut pods = Vec::new();
    for object in &objects {
        pods.extend(pod::read(object, namespace));
    }
    let names: BTreeSet<(String, String)> =
        pods.iter().map(|pod| (pod.namespace.clone(), pod.name.clone())).collect();
    for object in &objects {
        let (found, note) = workload::read(object, namespace, &pods);
        notes.extend(note);
        let is_new =
            |pod: &crate::model::Pod| !names.contains(&(pod.namespace.clone(), pod.name.clone()));
        pods.extend(found.into_iter().filter(is_new));
    }
    let unknown: BTreeSet<&str> = pods
        .iter()
        .map(|pod| pod.namespace.as_str())
        .filter(|namespace| !namespaces.contains_key(*namespace))
        .collect();
    for namespace in unknown {
        notes.push(format!(
            "namespace {namespace} is not among the objects: taken to have no labels but its name"
        ));
    }
    Built { topology: Topology::new(namespaces, pods, nodes, services), notes }
}

fn node(object: &Value) -> Node {
    let addresses = object.pointer("/status/addresses").and_then(Value::as_array);
    let address = |address: &Value| text(address, "/address").parse::<IpAddr>().ok();
    Node {
        name: text(object, "/metadata/name").to_owned(),
        labels: labels(object),
        addresses: addresses.into_iter().flatten().filter_map(address).collect(),
    }
}

/// A text at a pointer; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The labels in an object's metadata.
pub(super) fn labels(object: &Value) -> Labels {
    map(object.pointer("/metadata/labels"))
}

/// A mapping of texts.
pub(super) fn map(value: Option<&Value>) -> Labels {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (key.clone(), value)
        })
        .collect()
}

/// The namespace of an object.
pub(super) fn namespace<'a>(object: &'a Value, default: &'a str) -> &'a str {
    match text(object, "/metadata/namespace") {
        "" => default,
        namespace => namespace,
    }
}
