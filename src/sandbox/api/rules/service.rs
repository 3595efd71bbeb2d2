//! Services: defaults, and the addresses of `10.96.0.0/16`.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde_json::{Value, json};

use super::{
    super::{
        failure::{Cause, Failure},
        object::Object,
        resource::SERVICES,
        store::Writer,
    },
    table::fill,
};
use crate::sandbox::layout;

pub(super) fn default(service: &mut Value) {
    let spec = service.section_mut("spec");
    fill(spec, "type", "ClusterIP");
    fill(spec, "sessionAffinity", "None");
    fill(spec, "internalTrafficPolicy", "Cluster");
    let external = spec.get("type").is_some_and(|kind| kind == "ExternalName");
    if !external {
        fill(spec, "ipFamilies", json!(["IPv4"]));
        fill(spec, "ipFamilyPolicy", "SingleStack");
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        fill(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        fill(port, "targetPort", number);
    }
}

pub(super) fn default_slice(slice: &mut Value) {
    for port in slice.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

pub(super) fn validate(service: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = service.text("/spec/type");
    if !["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"].contains(&kind) {
        causes.push(Cause::not_supported(
            "spec.type",
            &kind.into(),
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
    let ports = service.items("/spec/ports");
    let headless = service.text("/spec/clusterIP") == "None";
    if ports.is_empty() && kind != "ExternalName" && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let message = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{field}.port"), &number.into(), message));
        }
        let protocol = port.text("/protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            let known = &["SCTP", "TCP", "UDP"];
            causes.push(Cause::not_supported(format!("{field}.protocol"), &protocol.into(), known));
        }
        let name = port.text("/name");
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
        }
        if !seen.insert((number, protocol)) {
            let twice = json!({"port": number, "protocol": protocol});
            causes.push(Cause::duplicate(field, &twice));
        }
    }
    let address = service.text("/spec/clusterIP");
    if !address.is_empty() && address != "None" && address.parse::<Ipv4Addr>().is_err() {
        let message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        causes.push(Cause::invalid("spec.clusterIPs[0]", &address.into(), message));
    }
    if let Some(before) = before {
        let old = before.text("/spec/clusterIP");
        // An update that leaves the address out keeps it; see `allocate`.
        if !address.is_empty()
            && address != old
            && kind != "ExternalName"
            && before.text("/spec/type") != "ExternalName"
        {
            causes.push(Cause::invalid(
                "spec.clusterIPs[0]",
                &address.into(),
                "may not change once set",
            ));
        }
    }
    causes
}

/// Gives a Service its address: the one it had, the one it asks for, or the next free one.
pub(super) fn allocate(
    writer: &Writer<'_>,
    service: &mut Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    if service.text("/spec/type") == "ExternalName" {
        return Ok(());
    }
    let asked = service.text("/spec/clusterIP").to_owned();
    let asked = match before {
        Some(before) if asked.is_empty() => before.text("/spec/clusterIP").to_owned(),
        _ => asked,
    };
    let kept = before.is_some_and(|before| before.text("/spec/clusterIP") == asked);
    let address = if asked == "None" || (kept && !asked.is_empty()) {
        asked
    } else {
        let taken: BTreeSet<Ipv4Addr> = writer
            .list(&SERVICES, None)
            .iter()
            .filter_map(|service| service.text("/spec/clusterIP").parse().ok())
            .collect();
        pick(&asked, &taken).map_err(|detail| {
            let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), &detail);
            Failure::invalid(&SERVICES, service.name(), &[cause])
        })?
    };
    let spec = service.section_mut("spec");
    spec.insert("clusterIP".into(), address.clone().into());
    spec.insert("clusterIPs".into(), json!([address]));
    Ok(())
}

fn pick(asked: &str, taken: &BTreeSet<Ipv4Addr>) -> Result<String, String> {
    let range = layout::SERVICES;
    if let Ok(asked) = asked.parse::<Ipv4Addr>() {
        return if !range.contains(&asked) {
            Err(format!(
                "failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid \
                 range. The range of valid IPs is {range}"
            ))
        } else if taken.contains(&asked) {
            Err(format!("failed to allocate IP {asked}: provided IP is already allocated"))
        } else {
            Ok(asked.to_string())
        };
    }
    // The first 16 addresses are left to Services that ask for one, as kube-dns does.
    let free = range.hosts().skip(16).find(|address| !taken.contains(address));
    free.map(|address| address.to_string()).ok_or_else(|| "range is full".to_owned())
}
