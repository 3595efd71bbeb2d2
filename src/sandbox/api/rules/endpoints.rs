//! Endpoints of either kind: defaults, and what the API server refuses.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    super::{failure::Cause, object::Object},
    table::fill,
};

const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

pub(super) fn default_slice(slice: &mut Value) {
    for port in slice.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

pub(super) fn default_endpoints(endpoints: &mut Value) {
    let subsets = endpoints.get_mut("subsets").and_then(Value::as_array_mut);
    for subset in subsets.into_iter().flatten() {
        for port in subset.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                fill(port, "protocol", "TCP");
            }
        }
    }
}

pub(super) fn validate_slice(slice: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = slice.text("/addressType");
    if kind.is_empty() {
        causes.push(Cause::required("addressType", ""));
    } else if !TYPES.contains(&kind) {
        causes.push(Cause::not_supported("addressType", &kind.into(), &TYPES));
    }
    if before.is_some_and(|before| before.text("/addressType") != kind) {
        causes.push(Cause::invalid("addressType", &kind.into(), "field is immutable"));
    }
    for (index, endpoint) in slice.items("/endpoints").iter().enumerate() {
        let field = format!("endpoints[{index}].addresses");
        let addresses = endpoint.items("/addresses");
        if addresses.is_empty() {
            causes.push(Cause::required(&field, "must contain at least 1 address"));
        }
        for (index, address) in addresses.iter().enumerate() {
            let parsed = address.as_str().and_then(|address| address.parse::<IpAddr>().ok());
            let message = match (kind, parsed) {
                ("IPv4", Some(IpAddr::V4(_))) | ("IPv6", Some(IpAddr::V6(_))) => continue,
                ("IPv4", _) => "must be a valid IPv4 address",
                ("IPv6", _) => "must be a valid IPv6 address",
                _ => continue,
            };
            causes.push(Cause::invalid(format!("{field}[{index}]"), address, message));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_of_the_slices_type() {
        for (kind, address, expected) in [
            ("IPv4", "10.0.0.1", ""),
            ("IPv6", "fd00::1", ""),
            ("IPv4", "fd00::1", "must be a valid IPv4 address"),
            ("IPv6", "x", "must be a valid IPv6 address"),
            ("FQDN", "example.com", ""),
            ("", "10.0.0.1", "Required value"),
            ("X", "10.0.0.1", "supported values: \"FQDN\", \"IPv4\", \"IPv6\""),
        ] {
            let slice = json!({"addressType": kind, "endpoints": [{"addresses": [address]}]});
            let causes = validate_slice(&slice, None);
            match expected {
                "" => assert_eq!(causes, [], "{kind} {address}"),
                expected => {
                    assert!(causes[0].message.contains(expected), "{kind} {address}: {causes:?}")
                }
            }
        }
    }
}
