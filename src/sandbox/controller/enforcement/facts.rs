//! What rules are made of, out of the API's objects.

use std::net::IpAddr;

use serde_json::Value;

use crate::{
    model::{Labels, Transport},
    sandbox::{
        api::{custom::CLUSTER_NETWORK_POLICIES, object::Object, resource::Resource},
        firewall::{HostPortEntry, NamedPort, PodEntry},
    },
};

pub(in super::super) fn transport(protocol: &str) -> Option<Transport> {
    match protocol {
        "TCP" | "" => Some(Transport::Tcp),
        "UDP" => Some(Transport::Udp),
        _ => None,
    }
}

/// Whether a kind is that of ClusterNetworkPolicies, in whichever version.
pub(super) fn is_cluster_policy(resource: &Resource) -> bool {
    let (plural, group) = CLUSTER_NETWORK_POLICIES;
    resource.plural == plural && resource.group == group
}

/// A node's labels and addresses.
pub(in super::super) fn node(node: &Value) -> (Labels, Vec<IpAddr>) {
    let addresses = node.items("/status/addresses").iter().map(|each| each.text("/address"));
    (node.labels(), parsed(addresses, ""))
}

/// The names and addresses of a host outside.
pub(super) fn host(host: &Value) -> (Vec<String>, Vec<IpAddr>) {
    let texts = |pointer| host.items(pointer).iter().filter_map(Value::as_str);
    (texts("/spec/names").map(str::to_owned).collect(), parsed(texts("/spec/addresses"), ""))
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
pub(in super::super) fn parsed<'a>(
    listed: impl Iterator<Item = &'a str>,
    single: &str,
) -> Vec<IpAddr> {
    let listed: Vec<IpAddr> = listed.filter_map(|address| address.parse().ok()).collect();
    if listed.is_empty() { single.parse().into_iter().collect() } else { listed }
}

fn ports_at_host(pod: &Value) -> impl Iterator<Item = &Value> {
    let containers = pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers"));
    let ports = containers.flat_map(|container| container.items("/ports"));
    ports.filter(|port| port["hostPort"].as_u64().is_some_and(|port| port > 0))
}

/// Whether a pod asks for a port of its node.
pub(in super::super) fn has_host_port(pod: &Value) -> bool {
    ports_at_host(pod).next().is_some()
}

/// The ports of a pod that are its node's, too; none while it has no address, and when it has
/// ended. A pod on the host network has its node's address anyway.
pub(in super::super) fn host_ports(pod: &Value) -> Vec<HostPortEntry> {
    if ended(pod) || pod["spec"]["hostNetwork"] == true {
        return Vec::new();
    }
    let number = |port: &Value, field: &str| u16::try_from(port[field].as_u64()?).ok();
    let entry = |port: &Value| {
        let wanted: Option<IpAddr> = port.text("/hostIP").parse().ok();
        let to = number(port, "containerPort")?;
        let fits = |address: &IpAddr| wanted.is_none_or(|one| one.is_ipv4() == address.is_ipv4());
        Some(HostPortEntry {
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            node: pod.text("/spec/nodeName").to_owned(),
            address: wanted.filter(|one| !one.is_unspecified()),
            protocol: transport(port.text("/protocol"))?,
            number: number(port, "hostPort")?,
            to: addresses(pod).into_iter().filter(fits).map(|one| (one, to)).collect(),
        })
    };
    ports_at_host(pod).filter_map(entry).filter(|entry| !entry.to.is_empty()).collect()
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
