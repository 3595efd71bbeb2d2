//! The addresses and names that are the same in every sandbox.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::node::NodeSpec;

/// Which IP families a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFamily {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both, IPv4 first.
    #[default]
    Dual,
}

/// A text names no IP family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IP family; ipv4, ipv6 and dual are")]
pub struct NoIpFamily(String);

impl IpFamily {
    /// Of an address or a block for each family, those that this cluster has.
    fn of<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4],
            Self::Ipv6 => vec![v6],
            Self::Dual => vec![v4, v6],
        }
    }
}

impl FromStr for IpFamily {
    type Err = NoIpFamily;

    fn from_str(text: &str) -> Result<Self, NoIpFamily> {
        match text.to_ascii_lowercase().as_str() {
            "ipv4" => Ok(Self::Ipv4),
            "ipv6" => Ok(Self::Ipv6),
            "dual" => Ok(Self::Dual),
            _ => Err(NoIpFamily(text.to_owned())),
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Dual => "dual",
        })
    }
}

/// Where ClusterIPs come from.
pub const SERVICES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);
/// Where ClusterIPs of IPv6 come from.
pub const SERVICES_V6: Ipv6Net = Ipv6Net::new_assert(v6(0x10, 0x96, 0), 112);
/// The ClusterIP of the Service `kubernetes`, which leads to the API.
pub const API: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The same of IPv6.
pub const API_V6: Ipv6Addr = v6(0x10, 0x96, 1);
/// The port at which the API listens inside the nodes' network.
pub const API_PORT: u16 = 6443;
/// The ClusterIP of the Service `kube-dns`, which stands in every pod's `resolv.conf`.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The same of IPv6.
pub const DNS_V6: Ipv6Addr = v6(0x10, 0x96, 0xa);
/// The object that names the ranges of ClusterIPs.
pub const SERVICE_CIDR: &str = "kubernetes";
/// The domain under which the cluster's own names live.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The name that nodes, DNS and controllers give as their Kubernetes version.
pub const KUBERNETES_VERSION: &str = "v1.36.0";

/// `fd00:A:B::HOST`, where all of the sandbox's own IPv6 addresses lie.
const fn v6(a: u16, b: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, a, b, 0, 0, 0, 0, host)
}

/// The processor's name as Kubernetes writes it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What no host outside can have: Services, pods, nodes, balancers, gateways and loopback.
pub const OWN: [IpNet; 10] = [
    IpNet::V4(SERVICES),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(172, 18, 0, 0), 24)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(172, 18, 255, 0), 24)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 23)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(SERVICES_V6),
    IpNet::V6(Ipv6Net::new_assert(v6(0x10, 0x244, 0), 48)),
    IpNet::V6(Ipv6Net::new_assert(v6(0x172, 0x18, 0), 48)),
    IpNet::V6(Ipv6Net::new_assert(v6(0x169, 0x254, 0), 64)),
];

/// The ranges of ClusterIPs, the first family first.
pub fn services(family: IpFamily) -> Vec<IpNet> {
    family.of(IpNet::V4(SERVICES), IpNet::V6(SERVICES_V6))
}

/// The addresses of the Service `kubernetes`.
pub fn api(family: IpFamily) -> Vec<IpAddr> {
    family.of(API.into(), API_V6.into())
}

/// The addresses of the Service `kube-dns`.
pub fn dns(family: IpFamily) -> Vec<IpAddr> {
    family.of(DNS.into(), DNS_V6.into())
}

/// Where the API listens inside the nodes' network: a host that is no node and no pod.
pub fn control_plane(family: IpFamily) -> Vec<IpAddr> {
    family.of(Ipv4Addr::new(172, 18, 0, 254).into(), v6(0x172, 0x18, 0xfe).into())
}

/// Where the addresses of load balancers come from, the first family first.
pub fn balancers(family: IpFamily) -> Vec<IpNet> {
    let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x172, 0x18, 0xff, 0, 0, 0, 0), 112);
    family.of(Ipv4Net::new_assert(Ipv4Addr::new(172, 18, 255, 0), 24).into(), v6.into())
}

/// The nodes of a sandbox, by their number from 0.
pub fn node(number: u8, family: IpFamily) -> NodeSpec {
    let last = number.saturating_add(2);
    let pods = Ipv6Addr::new(0xfd00, 0x10, 0x244, u16::from(number), 0, 0, 0, 0);
    NodeSpec {
        name: format!("node-{}", u16::from(number) + 1),
        addresses: family
            .of(Ipv4Addr::new(172, 18, 0, last).into(), v6(0x172, 0x18, last.into()).into()),
        pod_cidrs: family.of(
            Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24).into(),
            Ipv6Net::new_assert(pods, 64).into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_lies_in_the_clusters_own_ranges() {
        let node = node(199, IpFamily::Dual);
        let given = [api(IpFamily::Dual), dns(IpFamily::Dual), node.addresses].concat();
        let ranges = node.pod_cidrs.into_iter().map(|range| range.addr());
        for address in given.into_iter().chain(ranges) {
            assert!(OWN.iter().any(|own| own.contains(&address)), "{address}");
        }
    }

    #[test]
    fn a_family_is_read_and_written_alike() {
        for family in [IpFamily::Ipv4, IpFamily::Ipv6, IpFamily::Dual] {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        let error = "ipx".parse::<IpFamily>().expect_err("no family");
        assert_eq!(error.to_string(), "`ipx` is no IP family; ipv4, ipv6 and dual are");
    }
}
