//! Services: defaults, addresses, node ports, and what the API server refuses.
//!
//! As in the API server, addresses and ports are allocated before the object is judged, so
//! that the judgement sees them; nothing is reserved until the object is stored.

mod family;
mod port;
mod validate;

use serde_json::{Value, json};

use super::{
    super::{failure::Failure, object::Object, resource::SERVICES, store::Writer},
    table::fill,
};

pub(super) fn default(service: &mut Value) {
    let external_ips = !service.items("/spec/externalIPs").is_empty();
    let spec = service.section_mut("spec");
    fill(spec, "type", "ClusterIP");
    fill(spec, "sessionAffinity", "None");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    let outside = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if outside || (kind == "ClusterIP" && external_ips) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    match spec.get("sessionAffinity").and_then(Value::as_str) {
        Some("ClientIP") => {
            const TEN_THOUSAND_EIGHT_HUNDRED: u32 = 10_800;
            let config = spec.entry("sessionAffinityConfig").or_insert_with(|| json!({}));
            let seconds = config.pointer("/clientIP/timeoutSeconds");
            if seconds.is_none_or(Value::is_null) && config.is_object() {
                config["clientIP"] = json!({"timeoutSeconds": TEN_THOUSAND_EIGHT_HUNDRED});
            }
        }
        Some("None") => _ = spec.remove("sessionAffinityConfig"),
        _ => {}
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        fill(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        fill(port, "targetPort", number);
        if port.get("targetPort").is_some_and(|target| *target == 0 || *target == "") {
            let number = port.get("port").cloned().unwrap_or_default();
            port.insert("targetPort".into(), number);
        }
    }
}

/// Gives a Service its families, addresses and node ports: those that it had, those that it
/// asks for, or the next free ones. Then says what is wrong with it.
pub(super) fn allocate(
    writer: &Writer<'_>,
    service: &mut Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    let name = service.name().to_owned();
    let refused = |causes: Vec<_>| match &causes[..] {
        [] => Ok(()),
        causes => Err(Failure::invalid(&SERVICES, &name, causes)),
    };
    if let Some(before) = before {
        family::carry_over(service, before);
        port::carry_over(service, before);
    }
    family::normalize(service);
    let others: Vec<_> = writer
        .list(&SERVICES, None)
        .into_iter()
        .filter(|other| other.uid() != service.uid())
        .collect();
    let ranges = family::ranges(writer);
    refused(family::choose(service, before, &ranges))?;
    refused(family::allocate(service, before, &ranges, &others))?;
    refused(port::allocate(service, before, &others))?;
    refused(validate::validate(service, before))
}

/// Whether a Service has an address of its own.
fn needs_cluster_ip(service: &Value) -> bool {
    matches!(service.text("/spec/type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn is_headless(service: &Value) -> bool {
    service.text("/spec/clusterIP") == "None"
        || service.items("/spec/clusterIPs").first().is_some_and(|first| first == "None")
}

fn texts(service: &Value, pointer: &str) -> Vec<String> {
    service.items(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
