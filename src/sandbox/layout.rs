//! The addresses and names that are the same in every sandbox.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::node::NodeSpec;

/// Where ClusterIPs come from.
pub const SERVICES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);
/// The ClusterIP of the Service `kubernetes`, behind which nothing listens yet.
pub const API: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
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

/// What no host outside can have: Services, pods, nodes, their gateways and loopback.
pub const OWN: [Ipv4Net; 5] = [
    SERVICES,
    Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 18, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 23),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
];

/// The nodes of a sandbox, by their number from 0.
pub fn node(number: u8) -> NodeSpec {
    NodeSpec {
        name: format!("node-{}", u16::from(number) + 1),
        address: Ipv4Addr::new(172, 18, 0, number.saturating_add(2)),
        pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24),
    }
}
