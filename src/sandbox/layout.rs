//! The addresses and names that are the same in every sandbox.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::node::NodeSpec;

/// Where ClusterIPs come from.
pub const SERVICES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);
/// The ClusterIP of the Service `kube-dns`, which stands in every pod's `resolv.conf`.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The domain under which the cluster's own names live.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The name that nodes, DNS and controllers give as their Kubernetes version.
pub const KUBERNETES_VERSION: &str = "v1.36.0";

/// The processor's name as Kubernetes writes it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The nodes of a sandbox, by their number from 0.
pub fn node(number: u8) -> NodeSpec {
    NodeSpec {
        name: format!("node-{}", u16::from(number) + 1),
        address: Ipv4Addr::new(172, 18, 0, number.saturating_add(2)),
        pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24),
    }
}
