//! What the API server refuses of a Service that has its addresses and ports.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    super::{
        super::{failure::Cause, names, object::Object},
        network_policy::port_name_error,
    },
    is_headless, needs_cluster_ip, port, texts,
};

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

pub(super) fn validate(service: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = service.text("/spec/type");
    kinds(service, kind, &mut causes);
    ports(service, kind, &mut causes);
    affinity(service, &mut causes);
    policies(service, kind, &mut causes);
    for (index, address) in texts(service, "/spec/externalIPs").iter().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        match address.parse::<IpAddr>() {
            Err(_) => causes.push(Cause::invalid(field, &json!(address), NO_ADDRESS)),
            Ok(parsed) => {
                if let Some(problem) = special(parsed) {
                    causes.push(Cause::invalid(field, &json!(address), problem));
                }
            }
        }
    }
    if let Some(before) = before
        && needs_cluster_ip(before)
        && needs_cluster_ip(service)
    {
        for (list, field) in
            [("clusterIPs", "spec.clusterIPs[0]"), ("ipFamilies", "spec.ipFamilies[0]")]
        {
            let pointer = format!("/spec/{list}");
            let (old, new) = (texts(before, &pointer), texts(service, &pointer));
            if let (Some(old), Some(new)) = (old.first(), new.first())
                && old != new
            {
                causes.push(Cause::invalid(
                    field,
                    &json!(texts(service, &pointer)),
                    "may not change once set",
                ));
            }
        }
    }
    causes
}

/// What addresses that no one host has are called.
fn special(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if address.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if address.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if address.is_multicast() {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}

fn kinds(service: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let headless = is_headless(service);
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let message = format!("may not be set to 'None' for {kind} services");
            causes.push(Cause::invalid("spec.clusterIPs[0]", &"None".into(), &message));
        }
        "ClusterIP" | "NodePort" | "LoadBalancer" => {}
        "ExternalName" => {
            if !texts(service, "/spec/clusterIPs").is_empty() {
                let message = "may not be set for ExternalName services";
                causes.push(Cause::forbidden("spec.clusterIPs", message));
            }
            for field in ["ipFamilies", "ipFamilyPolicy"] {
                if service["spec"].get(field).is_some() {
                    let message = "may not be set for ExternalName services";
                    causes.push(Cause::forbidden(format!("spec.{field}"), message));
                }
            }
            let name = service.text("/spec/externalName").trim_end_matches('.');
            if name.is_empty() {
                causes.push(Cause::required("spec.externalName", ""));
            } else if let Some(message) = names::subdomain_error(name) {
                causes.push(Cause::invalid("spec.externalName", &name.into(), &message));
            }
        }
        other => {
            const KNOWN: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            causes.push(Cause::not_supported("spec.type", &other.into(), KNOWN));
        }
    }
    if kind != "LoadBalancer" && !texts(service, "/spec/loadBalancerSourceRanges").is_empty() {
        let message = "may only be used when `type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("spec.LoadBalancerSourceRanges", message));
    }
    for (index, range) in texts(service, "/spec/loadBalancerSourceRanges").iter().enumerate() {
        if range.trim().parse::<IpNet>().is_err() {
            let field = format!("spec.LoadBalancerSourceRanges[{index}]");
            let message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.push(Cause::invalid(field, &json!(range), message));
        }
    }
}

fn ports(service: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let ports = service.items("/spec/ports");
    if ports.is_empty() && kind != "ExternalName" && !is_headless(service) {
        causes.push(Cause::required("spec.ports", ""));
    }
    let (mut seen, mut names, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let name = port.text("/name");
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if let Some(message) = names::label_error(name).filter(|_| !name.is_empty()) {
            causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &message));
        } else if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
        }
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            causes.push(Cause::invalid(format!("{field}.port"), &number.into(), PORT_RANGE));
        }
        let protocol = port.text("/protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            let known = &["SCTP", "TCP", "UDP"];
            causes.push(Cause::not_supported(format!("{field}.protocol"), &protocol.into(), known));
        }
        let target = &port["targetPort"];
        let problem = match target {
            Value::String(name) => port_name_error(name),
            number if number.as_i64().is_some_and(|number| (1..=65_535).contains(&number)) => None,
            _ => Some(PORT_RANGE),
        };
        if let Some(problem) = problem {
            causes.push(Cause::invalid(format!("{field}.targetPort"), target, problem));
        }
        let node_port = port.get("nodePort").and_then(Value::as_i64).unwrap_or_default();
        if node_port != 0 {
            if matches!(kind, "ClusterIP" | "ExternalName") {
                let message = format!("may not be used when `type` is '{kind}'");
                causes.push(Cause::forbidden(format!("{field}.nodePort"), &message));
            }
            if !node_ports.insert((node_port, protocol)) {
                causes.push(Cause::duplicate(format!("{field}.nodePort"), &node_port.into()));
            }
        }
        if !seen.insert((number, protocol)) {
            let twice = json!({"port": number, "protocol": protocol});
            causes.push(Cause::duplicate(field, &twice));
        }
    }
}

fn affinity(service: &Value, causes: &mut Vec<Cause>) {
    let seconds = service.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds");
    match service.text("/spec/sessionAffinity") {
        "None" => {}
        "ClientIP" => {
            let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
            let number = seconds.and_then(Value::as_i64).unwrap_or_default();
            if !(1..=86_400).contains(&number) {
                let message = "must be greater than 0 and less than 86400";
                causes.push(Cause::invalid(field, &number.into(), message));
            }
        }
        other => {
            let known = &["ClientIP", "None"];
            causes.push(Cause::not_supported("spec.sessionAffinity", &other.into(), known));
        }
    }
}

fn policies(service: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let outside = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !service.items("/spec/externalIPs").is_empty());
    let external = service.text("/spec/externalTrafficPolicy");
    let field = "spec.externalTrafficPolicy";
    if !outside && !external.is_empty() {
        let message = "may only be set for externally-accessible services";
        causes.push(Cause::invalid(field, &external.into(), message));
    } else if outside && !["Cluster", "Local"].contains(&external) {
        causes.push(Cause::not_supported(field, &external.into(), &["Cluster", "Local"]));
    }
    let internal = service.text("/spec/internalTrafficPolicy");
    if !internal.is_empty() && !["Cluster", "Local"].contains(&internal) {
        let known = &["Cluster", "Local"];
        causes.push(Cause::not_supported("spec.internalTrafficPolicy", &internal.into(), known));
    }
    let health = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_i64);
    if let Some(health) = health.filter(|health| *health != 0)
        && !port::needs_health_check(service)
    {
        let message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is \
                       'Local'";
        causes.push(Cause::invalid("spec.healthCheckNodePort", &health.into(), message));
    }
}
