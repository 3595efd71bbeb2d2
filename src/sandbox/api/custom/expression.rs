//! Rules in CEL, by their text: those of the kind that the cluster has from the start.

use serde_json::Value;

use super::super::object::Object;

/// A range's end is above its start.
pub(super) const RANGE: &str = "self.start < self.end";
/// A text is a block of addresses.
pub(super) const BLOCK: &str = "isCIDR(self)";
/// Only pods have names for their ports.
pub(super) const NAMED_PORTS: &str = "!(self.to.exists(peer, has(peer.networks) || \
    has(peer.nodes) || has(peer.domainNames)) && has(self.protocols) && \
    self.protocols.exists(protocol, has(protocol.destinationNamedPort)))";

/// Whether a rule holds for a value that fits its schema; none for a rule that isn't known.
pub(super) fn holds(rule: &str, value: &Value) -> Option<bool> {
    match rule {
        RANGE => Some(value["start"].as_i64() < value["end"].as_i64()),
        BLOCK => Some(value.as_str().is_some_and(is_block)),
        NAMED_PORTS => {
            let nameless = ["networks", "nodes", "domainNames"];
            let peer = |peer: &Value| nameless.iter().any(|field| peer.get(field).is_some());
            let named = |protocol: &Value| protocol.get("destinationNamedPort").is_some();
            let both =
                value.items("/to").iter().any(peer) && value.items("/protocols").iter().any(named);
            Some(!both)
        }
        _ => None,
    }
}

/// As the API server's library reads it: host bits are fine, an IPv4 address written as an
/// IPv6 one and a zone are not, nor are leading zeros.
fn is_block(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let plain = length == "0" || !length.starts_with(['0', '+']);
    let mapped =
        address.parse::<std::net::Ipv6Addr>().is_ok_and(|it| it.to_ipv4_mapped().is_some());
    plain && !mapped && text.parse::<ipnet::IpNet>().is_ok()
}

/// How many rules of a schema are not known, and so never refuse anything.
pub(super) fn unknown(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = schema.items("/x-kubernetes-validations").iter();
            let own = own.filter(|rule| ![RANGE, BLOCK, NAMED_PORTS].contains(&rule.text("/rule")));
            own.count() + map.values().map(unknown).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(unknown).sum(),
        _ => 0,
    }
}

/// Whether a schema has any rule that is known.
pub(super) fn any(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let own = schema.items("/x-kubernetes-validations").iter();
            let own = own.map(|rule| rule.text("/rule"));
            own.into_iter().any(|rule| [RANGE, BLOCK, NAMED_PORTS].contains(&rule))
                || map.values().any(any)
        }
        Value::Array(items) => items.iter().any(any),
        _ => false,
    }
}
