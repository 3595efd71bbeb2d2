//! External hosts: their addresses are theirs alone.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

use super::super::{
    failure::{Cause, Failure},
    names,
    object::Object,
    resource::EXTERNAL_HOSTS,
    store::Writer,
};
use crate::sandbox::layout;

pub(super) fn validate(host: &Value, _: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if host.items("/spec/addresses").is_empty() {
        causes.push(Cause::required("spec.addresses", "a host has at least one address"));
    }
    let mut seen = BTreeSet::new();
    for (index, address) in host.items("/spec/addresses").iter().enumerate() {
        let text = address.as_str().unwrap_or_default();
        let problem = match text.parse::<IpAddr>() {
            Ok(parsed) if layout::OWN.iter().any(|range| range.contains(&parsed)) => {
                "the address lies in one of the cluster's own ranges"
            }
            Ok(parsed) if !is_a_hosts(parsed) => "no host can have this address",
            Ok(parsed) if !seen.insert(parsed) => {
                causes.push(Cause::duplicate(format!("spec.addresses[{index}]"), address));
                continue;
            }
            Ok(_) => continue,
            Err(_) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        };
        causes.push(Cause::invalid(format!("spec.addresses[{index}]"), address, problem));
    }
    for (index, name) in host.items("/spec/names").iter().enumerate() {
        let text = name.as_str().unwrap_or_default().trim_end_matches('.').to_lowercase();
        if let Some(message) = names::subdomain_error(&text) {
            causes.push(Cause::invalid(format!("spec.names[{index}]"), name, &message));
        }
    }
    causes
}

/// Whether an address can be that of one host, and be routed to.
fn is_a_hosts(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_multicast() && !address.is_broadcast() && address.octets()[0] != 0
        }
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4_mapped().is_some();
            !address.is_multicast()
                && !address.is_loopback()
                && !address.is_unspecified()
                && !address.is_unicast_link_local()
                && !mapped
        }
    }
}

/// Refuses addresses that another host has.
pub(super) fn allocate(
    writer: &Writer<'_>,
    host: &mut Value,
    _: Option<&Value>,
) -> Result<(), Failure> {
    let others = writer.list(&EXTERNAL_HOSTS, None);
    let mut causes = Vec::new();
    for (index, address) in host.items("/spec/addresses").iter().enumerate() {
        let owner = others
            .iter()
            .filter(|other| other.name() != host.name())
            .find(|other| other.items("/spec/addresses").iter().any(|known| same(known, address)));
        if let Some(owner) = owner {
            let message = format!("the address is that of the external host \"{}\"", owner.name());
            causes.push(Cause::invalid(format!("spec.addresses[{index}]"), address, &message));
        }
    }
    match &causes[..] {
        [] => Ok(()),
        causes => Err(Failure::invalid(&EXTERNAL_HOSTS, host.name(), causes)),
    }
}

/// Whether two texts are the same address.
fn same(first: &Value, second: &Value) -> bool {
    let parsed = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    parsed(first).is_some_and(|address| parsed(second) == Some(address))
}
