//! How much of what a quota counts one object takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{
        super::{
            object::Object,
            resource::{PODS, Resource, SERVICES},
        },
        quantity::Quantity,
    },
    Amounts,
};

/// Kinds that quotas also count by their plain plural.
const PLAIN: [&str; 6] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// What each container must state where a quota counts it.
const REQUIRED: [&str; 6] =
    ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/// Whether a name in a quota counts objects of a kind.
pub(super) fn names(resource: &Resource, key: &str) -> bool {
    key.strip_prefix("count/") == Some(&resource.qualified())
        || (resource.group.is_empty()
            && (key == resource.plural
                || key.strip_prefix("services.").is_some_and(|_| resource == &SERVICES)))
}

/// What an object takes.
pub(super) fn of(resource: &'static Resource, object: &Value) -> Amounts {
    let one = Quantity::whole(1);
    let mut amounts = Amounts::from([(format!("count/{}", resource.qualified()), one)]);
    if resource.group.is_empty() && PLAIN.contains(&resource.plural) {
        amounts.insert(resource.plural.to_owned(), one);
    }
    if resource == &SERVICES {
        let ports = object.items("/spec/ports");
        let kind = object.text("/spec/type");
        if kind == "LoadBalancer" {
            amounts.insert("services.loadbalancers".into(), one);
        }
        let allocated =
            object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&false.into());
        if kind == "NodePort" || (kind == "LoadBalancer" && allocated) {
            amounts.insert("services.nodeports".into(), Quantity::whole(ports.len()));
        }
    }
    let ended = matches!(object.text("/status/phase"), "Succeeded" | "Failed");
    if resource == &PODS && !ended {
        amounts.insert("pods".into(), one);
        pod(object, &mut amounts);
    }
    amounts
}

fn pod(pod: &Value, amounts: &mut Amounts) {
    for (field, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for (resource, amount) in total(pod, field) {
            if field == "requests" && matches!(&*resource, "cpu" | "memory" | "ephemeral-storage") {
                amounts.insert(resource.clone(), amount);
            }
            amounts.insert(format!("{prefix}{resource}"), amount);
        }
    }
}

/// What a pod takes at once: all containers and sidecars together, or more while one of its
/// init containers runs.
fn total(pod: &Value, field: &str) -> BTreeMap<String, Quantity> {
    let stated = |container: &Value| -> BTreeMap<String, Quantity> {
        let list = container.pointer(&format!("/resources/{field}")).and_then(Value::as_object);
        let list = list.into_iter().flatten();
        list.filter_map(|(key, value)| Some((key.clone(), Quantity::read(value)?))).collect()
    };
    let add = |sum: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>| {
        for (key, amount) in more {
            let sum = sum.entry(key.clone()).or_default();
            *sum = sum.plus(*amount);
        }
    };
    let mut running = BTreeMap::new();
    let (mut sidecars, mut starting) = (BTreeMap::new(), BTreeMap::<String, Quantity>::new());
    for container in pod.items("/spec/containers") {
        add(&mut running, &stated(container));
    }
    for container in pod.items("/spec/initContainers") {
        let amounts = stated(container);
        let mut at_once = sidecars.clone();
        add(&mut at_once, &amounts);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &amounts);
        }
        for (key, amount) in at_once {
            let most = starting.entry(key).or_default();
            *most = (*most).max(amount);
        }
    }
    add(&mut running, &sidecars);
    for (key, amount) in starting {
        let most = running.entry(key).or_default();
        *most = (*most).max(amount);
    }
    running
}

/// Checks that each container states what a quota counts.
///
/// # Errors
/// What is missing, and where.
pub(super) fn constraints(hard: &Amounts, pod: &Value) -> Result<(), String> {
    let mut missing = BTreeMap::<&str, BTreeSet<&str>>::new();
    for key in REQUIRED.iter().filter(|key| hard.contains_key(**key)) {
        let (field, resource) = key.split_once('.').unwrap_or(("requests", key));
        let containers = pod.items("/spec/containers").iter();
        for container in containers.chain(pod.items("/spec/initContainers")) {
            if container.pointer(&format!("/resources/{field}/{resource}")).is_none() {
                missing.entry(key).or_default().insert(container.text("/name"));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing
        .into_iter()
        .map(|(key, names)| format!("{key} for: {}", Vec::from_iter(names).join(",")))
        .collect();
    Err(format!("must specify {}", missing.join("; ")))
}
