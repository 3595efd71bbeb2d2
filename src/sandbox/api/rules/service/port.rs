//! Node ports, from 30000 to 32767.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use serde_json::Value;

use super::super::super::{failure::Cause, object::Object};

/// Where node ports come from.
const RANGE: RangeInclusive<u64> = 30_000..=32_767;

/// Whether the ports of a Service are to be reached at every node.
fn needs_ports(service: &Value) -> bool {
    match service.text("/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => {
            service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false))
        }
        _ => false,
    }
}

fn has_ports(service: &Value) -> bool {
    matches!(service.text("/spec/type"), "NodePort" | "LoadBalancer")
}

/// Whether a balancer asks the nodes which of them have endpoints.
pub(super) fn needs_health_check(service: &Value) -> bool {
    service.text("/spec/type") == "LoadBalancer"
        && service.text("/spec/externalTrafficPolicy") == "Local"
}

fn number(port: &Value) -> u64 {
    port.get("nodePort").and_then(Value::as_u64).unwrap_or_default()
}

fn health(service: &Value) -> u64 {
    service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64).unwrap_or_default()
}

fn numbers(service: &Value) -> BTreeSet<u64> {
    let ports = service.items("/spec/ports").iter().map(number);
    ports.chain([health(service)]).filter(|port| *port > 0).collect()
}

/// Ports that an update leaves out keep their numbers; those of another type go.
pub(super) fn carry_over(service: &mut Value, before: &Value) {
    let same = numbers(before).is_superset(&numbers(service));
    if has_ports(before) && !has_ports(service) && same {
        for port in ports_mut(service) {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
    if needs_health_check(before)
        && !needs_health_check(service)
        && health(service) == health(before)
    {
        service.section_mut("spec").remove("healthCheckNodePort");
    } else if needs_health_check(before) && needs_health_check(service) && health(service) == 0 {
        service.section_mut("spec").insert("healthCheckNodePort".into(), health(before).into());
    }
    for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        let kept = service["spec"].get(field) == before["spec"].get(field);
        let fits = match field {
            "externalTrafficPolicy" => {
                has_ports(service) || !service.items("/spec/externalIPs").is_empty()
            }
            _ => service.text("/spec/type") == "LoadBalancer",
        };
        if kept && !fits {
            service.section_mut("spec").remove(field);
        }
    }
    if !(has_ports(before) && needs_ports(service)) {
        return;
    }
    let (old, new) = (numbers(before), numbers(service));
    let mut used: BTreeSet<u64> = old.intersection(&new).copied().collect();
    let by_name: BTreeMap<String, u64> = before
        .items("/spec/ports")
        .iter()
        .map(|port| (port.text("/name").to_owned(), number(port)))
        .collect();
    for port in ports_mut(service) {
        let kept = by_name.get(port.text("/name")).copied().filter(|kept| *kept > 0);
        if let (0, Some(kept)) = (number(port), kept)
            && used.insert(kept)
        {
            port["nodePort"] = kept.into();
        }
    }
}

fn ports_mut(service: &mut Value) -> impl Iterator<Item = &mut Value> {
    let ports = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    ports.into_iter().flatten()
}

/// A number for each port that has none yet.
pub(super) fn allocate(
    service: &mut Value,
    before: Option<&Value>,
    others: &[Arc<Value>],
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let own = before.map(numbers).unwrap_or_default();
    let taken: BTreeSet<u64> = others.iter().flat_map(|other| numbers(other)).collect();
    let mut used = numbers(service);
    for (index, port) in service.items("/spec/ports").iter().enumerate() {
        let asked = number(port);
        let field = format!("spec.ports[{index}].nodePort");
        if asked == 0 || own.contains(&asked) || !has_ports(service) {
            continue;
        }
        if !RANGE.contains(&asked) {
            let message = "provided port is not in the valid range. The range of valid ports is \
                           30000-32767";
            causes.push(Cause::invalid(field, &asked.into(), message));
        } else if taken.contains(&asked) {
            causes.push(Cause::invalid(field, &asked.into(), "provided port is already allocated"));
        }
    }
    if !causes.is_empty() {
        return causes;
    }
    let mut next = || {
        let count = RANGE.end() - RANGE.start() + 1;
        let start = u64::from(rand::random::<u16>()) % count;
        let candidates = (start..start + count).map(|offset| RANGE.start() + offset % count);
        let free =
            candidates.into_iter().find(|port| !taken.contains(port) && !used.contains(port));
        free.inspect(|port| _ = used.insert(*port))
    };
    if needs_ports(service) {
        // The same number serves two transports, where nobody asked for another.
        let mut by_port = BTreeMap::new();
        for port in ports_mut(service) {
            if number(port) == 0 {
                let key = (port["port"].as_u64(), port.text("/protocol").to_owned());
                let twin = by_port.get(&key.0).filter(|(protocol, _)| *protocol != key.1);
                let Some(given) = twin.map(|(_, number)| *number).or_else(&mut next) else {
                    let message = "failed to allocate a nodePort: range is full";
                    return vec![Cause::invalid("spec.ports", &Value::Null, message)];
                };
                port["nodePort"] = given.into();
            }
            by_port
                .insert(port["port"].as_u64(), (port.text("/protocol").to_owned(), number(port)));
        }
    }
    if needs_health_check(service)
        && health(service) == 0
        && let Some(port) = next()
    {
        service.section_mut("spec").insert("healthCheckNodePort".into(), port.into());
    }
    Vec::new()
}
