//! What the reference CNI sees of the cluster.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::policy::cluster::ClusterNetworkPolicy;
use crate::model::{Labels, Transport};

/// The state of the API at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Every namespace's labels, `kubernetes.io/metadata.name` among them.
    pub namespaces: BTreeMap<String, Labels>,
    /// Every pod that has an address and has not ended. Of two with the same address the
    /// later one counts: addresses are reused.
    pub pods: Vec<PodEntry>,
    /// Every NetworkPolicy.
    pub policies: Vec<NetworkPolicy>,
    /// Every ClusterNetworkPolicy.
    pub cluster_policies: Vec<ClusterNetworkPolicy>,
    /// The labels of nodes, and the addresses of their status.
    pub node_labels: BTreeMap<String, (Labels, Vec<IpAddr>)>,
    /// Hosts outside the cluster: their names for DNS, and their addresses.
    pub hosts: BTreeMap<String, (Vec<String>, Vec<IpAddr>)>,
    /// Every Service that has a cluster address.
    pub services: Vec<ServiceEntry>,
    /// Every port of a pod that is its node's, too.
    pub host_ports: Vec<HostPortEntry>,
    /// The nodes by their names.
    pub nodes: BTreeMap<String, NodeEntry>,
    /// The cluster's own ranges. Pods that reach beyond them seem to be their node; where
    /// there are none, they always keep their address.
    pub ranges: Vec<IpNet>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses, at most one of each family.
    pub cluster_ips: Vec<IpAddr>,
    /// Its `externalIPs`, which lead to it from every node.
    pub external_ips: Vec<IpAddr>,
    /// The addresses that load balancers have for it.
    pub balancer_ips: Vec<IpAddr>,
    /// Who may use the balancers' addresses; everybody where it is empty.
    pub balancer_sources: Vec<IpNet>,
    /// Connections to the cluster addresses go to endpoints of the same node alone.
    pub internal_local: bool,
    /// Connections from outside go to endpoints of the same node alone, and keep their
    /// source.
    pub external_local: bool,
    /// For how long after its last connection a client is led to the same endpoint.
    pub affinity: Option<Duration>,
    /// Its ports.
    pub ports: Vec<ServicePortEntry>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePortEntry {
    /// The transport.
    pub protocol: Transport,
    /// The number at the Service's addresses.
    pub port: u16,
    /// The number at every node's addresses, if it has one.
    pub node_port: Option<u16>,
    /// Where connections go: from each address to the endpoints of its family, each as
    /// likely. Without any, connections are refused.
    pub endpoints: Vec<EndpointEntry>,
}

/// An endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointEntry {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The node that it is on; empty if it is on none.
    pub node: String,
    /// Whether it is ready. What isn't still serves while it ends, and stands in where
    /// nothing is ready.
    pub ready: bool,
}

/// A port of a pod that leads to it at its node's addresses: `hostPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPortEntry {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The node that it runs on.
    pub node: String,
    /// The one address of the node that leads to it; all of them where there is none.
    pub address: Option<IpAddr>,
    /// The transport.
    pub protocol: Transport,
    /// The number at the node.
    pub number: u16,
    /// Where it leads: the pod's address of each family, and the container's port.
    pub to: Vec<(IpAddr, u16)>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Where its pods' addresses come from.
    pub pod_cidrs: Vec<IpNet>,
}
