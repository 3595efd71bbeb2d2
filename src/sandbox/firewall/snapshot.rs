//! What the reference CNI sees of the cluster.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::model::{Labels, Transport};

/// The state of the API at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Every namespace's labels, `kubernetes.io/metadata.name` among them.
    pub namespaces: BTreeMap<String, Labels>,
    /// Every pod that has an address and has not ended. Of two with the same address the
    /// later one counts: addresses are reused.
    pub pods: Vec<PodEntry>,
    /// Every policy.
    pub policies: Vec<NetworkPolicy>,
    /// Every Service that has a cluster address.
    pub services: Vec<ServiceEntry>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses, at most one of each family; its node's, if it is on the host network.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: String,
    /// The ports of its containers that have a name.
    pub ports: Vec<NamedPort>,
    /// Whether it shares its node's network; then no policy applies to it.
    pub host_network: bool,
}

/// A container port that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// The name.
    pub name: String,
    /// The transport; the same name may stand once for each.
    pub protocol: Transport,
    /// The number.
    pub number: u16,
}

/// A Service with a cluster address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses, at most one of each family.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePortEntry>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePortEntry {
    /// The transport.
    pub protocol: Transport,
    /// The number at the cluster addresses.
    pub port: u16,
    /// Where connections go: from each cluster address to the endpoints of its family, each
    /// as likely. Without any, connections are refused.
    pub endpoints: Vec<(IpAddr, u16)>,
}
