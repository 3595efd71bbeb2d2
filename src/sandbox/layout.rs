//! The addresses and names that are the same in every sandbox.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Where ClusterIPs come from.
pub const SERVICES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);
/// The ClusterIP of the Service `kube-dns`, which stands in every pod's `resolv.conf`.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The domain under which the cluster's own names live.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The name that nodes, DNS and controllers give as their Kubernetes version.
pub const KUBERNETES_VERSION: &str = "v1.36.0";
