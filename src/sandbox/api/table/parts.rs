//! Cells of the kinds that run no pods.

use serde_json::Value;

use super::{
    super::object::Object,
    cells::{
        Cell::{Of, Text},
        Column, balancer, joined, number, or, plain, some,
    },
    columns::text,
    time,
};

pub(super) fn events() -> Vec<Column> {
    fn first(event: &Value) -> String {
        time::since(&or(event.text("/firstTimestamp").to_owned(), event.text("/eventTime")))
    }
    let last = |event: &Value| {
        let series = event.text("/series/lastObservedTime");
        match (series, event.text("/lastTimestamp")) {
            ("", "") => first(event),
            ("", last) => time::since(last),
            (series, _) => time::since(series),
        }
        .into()
    };
    let object = |event: &Value| {
        let kind = event.text("/involvedObject/kind").to_lowercase();
        match event.text("/involvedObject/name") {
            "" => kind,
            name => format!("{kind}/{name}"),
        }
        .into()
    };
    let source = |event: &Value| {
        let component =
            or(event.text("/source/component").to_owned(), event.text("/reportingComponent"));
        let instance = or(event.text("/source/host").to_owned(), event.text("/reportingInstance"));
        if instance.is_empty() { component } else { format!("{component}, {instance}") }.into()
    };
    let count = |event: &Value| {
        let series = event.pointer("/series/count").or_else(|| event.get("count"));
        series.and_then(Value::as_i64).filter(|count| *count > 0).unwrap_or(1).into()
    };
    vec![
        text("Last Seen", Of(last)),
        text("Type", Text("/type")),
        text("Reason", Text("/reason")),
        text("Object", Of(object)),
        text("Subobject", Text("/involvedObject/fieldPath")).wide(),
        text("Source", Of(source)).wide(),
        text("Message", Of(|event| event.text("/message").trim().into())),
        text("First Seen", Of(|event| first(event).into())).wide(),
        text("Count", Of(count)).wide(),
        text("Name", Text("/metadata/name")).wide(),
    ]
}

pub(super) fn entries(object: &Value, field: &str) -> usize {
    object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

pub(super) fn capital(holds: bool) -> Value {
    if holds { "True" } else { "False" }.into()
}

pub(super) fn node_status(node: &Value) -> Value {
    let ready =
        node.items("/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(ready) if ready["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

pub(super) fn node_roles(node: &Value) -> Value {
    let roles: Vec<_> = node
        .labels()
        .into_iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None => (key == "kubernetes.io/role").then_some(value),
        })
        .filter(|role| !role.is_empty())
        .collect();
    or(roles.join(","), "<none>").into()
}

pub(super) fn address(node: &Value, kind: &str) -> Value {
    let mut addresses = node.items("/status/addresses").iter();
    let found = addresses.find(|address| address["type"] == kind);
    or(plain(found.and_then(|found| found.get("address"))), "<none>").into()
}

pub(super) fn kernel(node: &Value) -> Value {
    let version = or(node.text("/status/nodeInfo/kernelVersion").to_owned(), "<unknown>");
    match node.text("/status/nodeInfo/architecture") {
        "" => version,
        architecture => format!("{version} ({architecture})"),
    }
    .into()
}

pub(super) fn external(service: &Value) -> Value {
    let own = joined(service.items("/spec/externalIPs"), "");
    match service.text("/spec/type") {
        "ExternalName" => service.text("/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let both: Vec<_> =
                [balancer(service), own].into_iter().filter(|part| !part.is_empty()).collect();
            or(both.join(","), "<pending>")
        }
        _ => or(own, "<none>"),
    }
    .into()
}

pub(super) fn service_ports(service: &Value) -> Value {
    let ports = service.items("/spec/ports").iter().map(|port| {
        let (number, protocol) = (number(port, "/port"), port.text("/protocol"));
        match port.get("nodePort").and_then(Value::as_i64) {
            Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    });
    or(ports.collect::<Vec<_>>().join(","), "<none>").into()
}

pub(super) fn endpoints(object: &Value) -> Value {
    let mut list = Vec::new();
    for subset in object.items("/subsets") {
        let addresses = subset.items("/addresses").iter().map(|address| address.text("/ip"));
        if subset.items("/ports").is_empty() {
            list.extend(addresses.clone().map(str::to_owned));
        }
        for port in subset.items("/ports") {
            let port = number(port, "/port");
            list.extend(addresses.clone().map(|address| {
                if address.contains(':') {
                    format!("[{address}]:{port}")
                } else {
                    format!("{address}:{port}")
                }
            }));
        }
    }
    or(some(&list, 3), "<none>").into()
}

pub(super) fn slice_ports(slice: &Value) -> Value {
    let ports: Vec<_> = slice
        .items("/ports")
        .iter()
        .map(|port| match port.get("port") {
            Some(number) => number.to_string(),
            None => or(port.text("/name").to_owned(), "*"),
        })
        .collect();
    or(some(&ports, 3), "<unset>").into()
}

/// The used and allowed amounts of a quota, of limits or of everything else.
pub(super) fn amounts(quota: &Value, limits: bool) -> Value {
    let hard = quota.pointer("/status/hard").and_then(Value::as_object);
    let parts: Vec<_> = hard
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, hard)| {
            let used = or(plain(quota["status"]["used"].get(name)), "0");
            format!("{name}: {used}/{}", plain(Some(hard)))
        })
        .collect();
    parts.join(", ").into()
}

pub(super) fn modes(modes: &[Value]) -> Value {
    let modes: Vec<_> = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .into_iter()
    .filter_map(|(mode, short)| modes.iter().any(|known| known == mode).then_some(short))
    .collect();
    modes.join(",").into()
}

pub(super) fn phase(object: &Value) -> Value {
    if object.is_deleting() { "Terminating".into() } else { object.text("/status/phase").into() }
}

pub(super) fn claim(volume: &Value) -> Value {
    match volume["spec"].get("claimRef") {
        Some(claim) => format!("{}/{}", claim.text("/namespace"), claim.text("/name")).into(),
        None => "".into(),
    }
}

pub(super) fn controller(revision: &Value) -> Value {
    let owner = revision.owners().iter().find(|owner| owner["controller"] == true);
    let Some(owner) = owner else { return "<none>".into() };
    let kind = owner.text("/kind").to_lowercase();
    let group = owner.text("/apiVersion").split_once('/').map(|(group, _)| format!(".{group}"));
    format!("{kind}{}/{}", group.unwrap_or_default(), owner.text("/name")).into()
}

pub(super) fn hosts(ingress: &Value) -> Value {
    let rules = ingress.items("/spec/rules");
    let hosts: Vec<_> = rules
        .iter()
        .take(3)
        .map(|rule| rule.text("/host"))
        .filter(|host| !host.is_empty())
        .collect();
    match (hosts.is_empty(), rules.len()) {
        (true, _) => "*".into(),
        (false, all) if all > 3 => format!("{} + {} more...", hosts.join(","), all - 3).into(),
        _ => hosts.join(",").into(),
    }
}

pub(super) fn parameters(class: &Value) -> Value {
    let Some(found) = class["spec"].get("parameters") else { return "<none>".into() };
    let group = found.text("/apiGroup");
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    format!("{}{group}/{}", found.text("/kind"), found.text("/name")).into()
}

pub(super) fn subjects(binding: &Value, kind: &str) -> Value {
    let subjects = binding.items("/subjects").iter().filter(|subject| subject["kind"] == kind);
    let names = subjects.map(|subject| match subject.text("/namespace") {
        namespace if kind == "ServiceAccount" => format!("{namespace}/{}", subject.text("/name")),
        _ => subject.text("/name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ").into()
}

pub(super) fn available(service: &Value) -> Value {
    let conditions = service.items("/status/conditions").iter();
    let found = conditions.clone().find(|condition| condition["type"] == "Available");
    match found {
        Some(found) if found["status"] == "True" => "True".into(),
        Some(found) => format!("False ({})", found.text("/reason")).into(),
        None => "Unknown".into(),
    }
}
