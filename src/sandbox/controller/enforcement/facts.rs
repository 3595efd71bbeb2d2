//! What rules are made of, out of the API's objects.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde_json::Value;

use crate::{
    model::{Labels, Transport},
    sandbox::{
        api::object::Object,
        controller::endpoints::{self, SERVICE_LABEL},
        firewall::{NamedPort, PodEntry, ServiceEntry, ServicePortEntry},
    },
};

fn transport(protocol: &str) -> Option<Transport> {
    match protocol {
        "TCP" | "" => Some(Transport::Tcp),
        "UDP" => Some(Transport::Udp),
        _ => None,
    }
}

/// Whether a pod's address is its own no longer.
pub(super) fn ended(pod: &Value) -> bool {
    matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}

/// A pod's addresses; where the list of all is missing, the first.
pub(super) fn addresses(pod: &Value) -> Vec<IpAddr> {
    let listed = pod.items("/status/podIPs").iter().map(|each| each.text("/ip"));
    parsed(listed, pod.text("/status/podIP"))
}

/// The addresses of a list, or the one that stands beside it where there is no list.
fn parsed<'a>(listed: impl Iterator<Item = &'a str>, single: &str) -> Vec<IpAddr> {
    let listed: Vec<IpAddr> = listed.filter_map(|address| address.parse().ok()).collect();
    if listed.is_empty() { single.parse().into_iter().collect() } else { listed }
}

/// What rules are made of, of a pod; none while it has no address, and when it has ended.
pub(super) fn entry(pod: &Value, labels: Labels) -> Option<PodEntry> {
    let addresses = addresses(pod);
    if addresses.is_empty() || ended(pod) {
        return None;
    }
    let ports = pod
        .items("/spec/containers")
        .iter()
        .chain(pod.items("/spec/initContainers"))
        .flat_map(|container| container.items("/ports"))
        .filter_map(|port| {
            let name = port.text("/name");
            Some(NamedPort {
                name: (!name.is_empty()).then(|| name.to_owned())?,
                protocol: transport(port.text("/protocol"))?,
                number: u16::try_from(port["containerPort"].as_u64()?).ok()?,
            })
        })
        .collect();
    Some(PodEntry {
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
        labels,
        addresses,
        node: pod.text("/spec/nodeName").to_owned(),
        ports,
        host_network: pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)),
    })
}

/// All Services with their endpoints.
pub(super) fn services<'a>(
    services: impl Iterator<Item = &'a Arc<Value>>,
    slices: impl Iterator<Item = &'a Arc<Value>>,
) -> Vec<ServiceEntry> {
    let label = format!("/metadata/labels/{}", SERVICE_LABEL.replace('/', "~1"));
    let mut own: BTreeMap<(&str, &str), Vec<&Arc<Value>>> = BTreeMap::new();
    for slice in slices {
        own.entry((slice.namespace(), slice.text(&label))).or_default().push(slice);
    }
    services
        .filter_map(|service| {
            let own = own.get(&(service.namespace(), service.name()));
            translation(service, own.map(Vec::as_slice).unwrap_or_default())
        })
        .collect()
}

fn translation(service: &Value, own: &[&Arc<Value>]) -> Option<ServiceEntry> {
    let listed = service.items("/spec/clusterIPs").iter().filter_map(Value::as_str);
    let cluster_ips = parsed(listed, service.text("/spec/clusterIP"));
    if cluster_ips.is_empty() {
        return None;
    }
    let ports = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            Some(ServicePortEntry {
                protocol: transport(port.text("/protocol"))?,
                port: u16::try_from(port["port"].as_u64()?).ok()?,
                endpoints: endpoints::backends(own, port.text("/name")).into_iter().collect(),
            })
        })
        .collect();
    Some(ServiceEntry {
        namespace: service.namespace().to_owned(),
        name: service.name().to_owned(),
        cluster_ips,
        ports,
    })
}
