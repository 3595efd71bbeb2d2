//! NetworkPolicies: the default of `policyTypes`, and what the API server rejects.
//!
//! The rules follow the validation of `networking.k8s.io/v1` in Kubernetes 1.36.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    super::{failure::Cause, object::Object},
    label_selector,
    table::fill,
};

pub(super) fn default(policy: &mut Value) {
    let egress = !policy.items("/spec/egress").is_empty();
    let spec = policy.section_mut("spec");
    fill(spec, "podSelector", json!({}));
    if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".into(), types);
    }
    for direction in ["ingress", "egress"] {
        let rules = spec.get_mut(direction).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(port) = port.as_object_mut() {
                    fill(port, "protocol", "TCP");
                }
            }
        }
    }
}

pub(super) fn validate(policy: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    label_selector::check(&policy["spec"]["podSelector"], "spec.podSelector", &mut causes);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let rules = policy.items(&format!("/spec/{direction}"));
        for (index, rule) in rules.iter().enumerate() {
            let field = format!("spec.{direction}[{index}]");
            for (index, port) in rule.items("/ports").iter().enumerate() {
                validate_port(port, &format!("{field}.ports[{index}]"), &mut causes);
            }
            for (index, peer) in rule.items(&format!("/{peers}")).iter().enumerate() {
                let field = format!("{field}.{peers}[{index}]");
                validate_peer(peer, &field, before, &mut causes);
            }
        }
    }
    let types = policy.items("/spec/policyTypes");
    if types.len() > 2 {
        let message = "may not specify more than two policyTypes";
        causes.push(Cause::invalid("spec.policyTypes", &types.into(), message));
    } else {
        for (index, kind) in types.iter().enumerate() {
            if kind != "Ingress" && kind != "Egress" {
                let field = format!("spec.policyTypes[{index}]");
                causes.push(Cause::not_supported(field, kind, &["Ingress", "Egress"]));
            }
        }
    }
    causes
}

fn validate_port(port: &Value, field: &str, causes: &mut Vec<Cause>) {
    let protocol = port.text("/protocol");
    if !["TCP", "UDP", "SCTP"].contains(&protocol) {
        let known = &["TCP", "UDP", "SCTP"];
        causes.push(Cause::not_supported(format!("{field}.protocol"), &protocol.into(), known));
    }
    let range = "must be between 1 and 65535, inclusive";
    let end = port.get("endPort").and_then(Value::as_i64);
    match port.get("port") {
        Some(Value::Number(number)) => {
            let number = number.as_i64().unwrap_or_default();
            if !(1..=65_535).contains(&number) {
                causes.push(Cause::invalid(format!("{field}.port"), &number.into(), range));
            }
            if let Some(end) = end {
                let place = format!("{field}.endPort");
                if end < number {
                    let message = "must be greater than or equal to `port`";
                    causes.push(Cause::invalid(place.clone(), &end.into(), message));
                }
                if !(1..=65_535).contains(&end) {
                    causes.push(Cause::invalid(place, &end.into(), range));
                }
            }
        }
        Some(Value::String(name)) => {
            if end.is_some() {
                let message = "may not be specified when `port` is non-numeric";
                let end = end.unwrap_or_default();
                causes.push(Cause::invalid(format!("{field}.endPort"), &end.into(), message));
            }
            if let Some(message) = port_name_error(name) {
                causes.push(Cause::invalid(
                    format!("{field}.port"),
                    &name.as_str().into(),
                    message,
                ));
            }
        }
        _ => {
            if let Some(end) = end {
                let message = "may not be specified when `port` is not specified";
                causes.push(Cause::invalid(format!("{field}.endPort"), &end.into(), message));
            }
        }
    }
}

/// What is wrong with a port's name, if anything.
pub(in super::super) fn port_name_error(name: &str) -> Option<&'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() > 15 {
        Some("must be no more than 15 characters")
    } else if name.is_empty() || !name.bytes().all(fits) {
        Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    } else if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Some("must contain at least one letter (a-z)")
    } else if name.contains("--") {
        Some("must not contain consecutive hyphens")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("must not begin or end with a hyphen")
    } else {
        None
    }
}

fn validate_peer(peer: &Value, field: &str, before: Option<&Value>, causes: &mut Vec<Cause>) {
    let mut kinds = 0;
    for kind in ["podSelector", "namespaceSelector"] {
        if let Some(found) = peer.get(kind) {
            kinds += 1;
            label_selector::check(found, &format!("{field}.{kind}"), causes);
        }
    }
    if let Some(block) = peer.get("ipBlock") {
        validate_block(block, &format!("{field}.ipBlock"), before, causes);
        if kinds > 0 {
            let message = "may not specify both ipBlock and another peer";
            causes.push(Cause::forbidden(field, message));
        }
    } else if kinds == 0 {
        causes.push(Cause::required(field, "must specify a peer"));
    }
}

fn validate_block(block: &Value, field: &str, before: Option<&Value>, causes: &mut Vec<Cause>) {
    let text = block.text("/cidr");
    if text.is_empty() {
        causes.push(Cause::required(format!("{field}.cidr"), ""));
        return;
    }
    let outer = cidr(text, &format!("{field}.cidr"), before, causes);
    let Some(outer) = outer else { return };
    for (index, except) in block.items("/except").iter().enumerate() {
        let field = format!("{field}.except[{index}]");
        let text = except.as_str().unwrap_or_default();
        let Some(inner) = cidr(text, &field, before, causes) else { continue };
        let strict = outer.contains(&inner.network()) && inner.prefix_len() > outer.prefix_len();
        if !strict {
            let message = "must be a strict subset of `cidr`";
            causes.push(Cause::invalid(field, except, message));
        }
    }
}

/// Reads a block, tells what is wrong with it, and gives it if it can be read at all. What
/// 1.36 rejects is tolerated in an update of a policy that already has that text.
fn cidr(text: &str, field: &str, before: Option<&Value>, causes: &mut Vec<Cause>) -> Option<IpNet> {
    let strict = text.parse::<IpNet>();
    let Some(block) = strict.clone().ok().or_else(|| without_leading_zeros(text)) else {
        let message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        causes.push(Cause::invalid(field, &text.into(), message));
        return None;
    };
    let mapped = matches!(block.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let complaint = if strict.is_err() {
        Some("must not have leading 0s in IP or prefix length")
    } else if mapped {
        Some("must not have an IPv4-mapped IPv6 address")
    } else if block.addr() != block.network() {
        Some("must not have bits set beyond the prefix length")
    } else {
        None
    };
    if let Some(complaint) = complaint
        && !before.is_some_and(|before| blocks(before).any(|stored| stored == text))
    {
        causes.push(Cause::invalid(field, &text.into(), complaint));
    }
    Some(block.trunc())
}

/// Reads `010.0.0.0/08` as older servers did.
fn without_leading_zeros(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let short = |part: &str| {
        let rest = part.trim_start_matches('0');
        if rest.is_empty() && !part.is_empty() { "0".to_owned() } else { rest.to_owned() }
    };
    let address = if address.contains(':') {
        address.to_owned()
    } else {
        address.split('.').map(short).collect::<Vec<_>>().join(".")
    };
    format!("{address}/{}", short(length)).parse().ok()
}

/// Every block that a policy states.
fn blocks(policy: &Value) -> impl Iterator<Item = &str> {
    let of = |rules: &str, peers: &'static str| {
        policy.items(rules).iter().flat_map(move |rule| rule.items(peers))
    };
    let peers = of("/spec/ingress", "/from").chain(of("/spec/egress", "/to"));
    peers.filter_map(|peer| peer.get("ipBlock")).flat_map(|block| {
        let except = block.items("/except").iter().filter_map(Value::as_str);
        std::iter::once(block.text("/cidr")).chain(except)
    })
}
