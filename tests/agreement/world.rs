//! A small cluster with policies, as data, for the evaluator and for the firewall.
//!
//! Where its pods are is fixed, so that one network of the sandbox does for all; labels,
//! named ports and policies differ. Policies are objects as somebody would write them, so
//! that each side reads them by itself.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netproof::{
    model::{self, End, Family, IpProtocol, Labels, Node, Topology, Traffic, Transport},
    policy::{Mistake, Origin, PolicySet},
    sandbox::firewall::{ClusterNetworkPolicy, NamedPort, NodeEntry, Packet, PodEntry, Snapshot},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The nodes; pods take turns on them.
pub const NODES: [&str; 2] = ["one", "two"];
/// Where pods live: two in each, and one on its node's network in the first.
pub const SPACES: [&str; 3] = ["x", "y", "z"];
/// How many pods there are; the last is on its node's network.
pub const PODS: usize = 7;
/// Where every end listens, by TCP and UDP.
pub const PORTS: [u16; 3] = [8080, 8081, 8082];
/// What the host outside is called.
pub const WORLD: &str = "www.example.com";

/// A cluster with policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// Labels of the namespaces, in their order.
    pub spaces: Vec<Labels>,
    pub pods: Vec<Pod>,
    /// Labels of the nodes, in their order.
    pub nodes: Vec<Labels>,
    pub policies: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub labels: Labels,
    #[serde(default)]
    pub ports: Vec<Port>,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    pub udp: bool,
    pub number: u16,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum At {
    Pod(usize),
    Node(usize),
    /// The host outside.
    World,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub from: At,
    pub to: At,
    pub carrier: Carrier,
    pub port: u16,
    pub six: bool,
    /// The evaluator is asked by the name of the host outside, not by its address.
    #[serde(default)]
    pub by_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    Tcp,
    Udp,
    Icmp,
}

impl At {
    pub const ALL: [Self; PODS + 3] = [
        Self::Pod(0),
        Self::Pod(1),
        Self::Pod(2),
        Self::Pod(3),
        Self::Pod(4),
        Self::Pod(5),
        Self::Pod(6),
        Self::Node(0),
        Self::Node(1),
        Self::World,
    ];

    /// Its node, if it has one.
    pub fn node(self) -> Option<usize> {
        match self {
            Self::Pod(pod) => Some(pod % 2),
            Self::Node(node) => Some(node),
            Self::World => None,
        }
    }

    /// Whether it has its node's addresses.
    pub fn is_host(self) -> bool {
        matches!(self, Self::Node(_)) || self == Self::Pod(PODS - 1)
    }

    pub fn address(self, six: bool) -> IpAddr {
        let node = self.node().unwrap_or(0) as u16 + 1;
        match (self, six) {
            (Self::World, false) => Ipv4Addr::new(203, 0, 113, 9).into(),
            (Self::World, true) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into(),
            (at, false) if at.is_host() => Ipv4Addr::new(192, 168, 77, node as u8).into(),
            (at, true) if at.is_host() => Ipv6Addr::new(0xfd77, 0x168, 0, 0, 0, 0, 0, node).into(),
            (Self::Pod(pod), false) => Ipv4Addr::new(10, 77, node as u8, 10 + pod as u8).into(),
            (Self::Pod(pod), true) => {
                Ipv6Addr::new(0xfd77, 0x10, 0x77, node, 0, 0, 0, 10 + pod as u16).into()
            }
            (Self::Node(_), _) => Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    pub fn addresses(self) -> Vec<IpAddr> {
        vec![self.address(false), self.address(true)]
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(pod) => write!(f, "{}/p{pod}", space_of(*pod)),
            Self::Node(node) => write!(f, "node {}", NODES[*node]),
            Self::World => f.write_str("world"),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, carrier, port, six, by_name } = self;
        let family = if *six { "IPv6" } else { "IPv4" };
        let name = if *by_name { " (by name)" } else { "" };
        write!(f, "{from} to {to}{name}, {carrier:?} {port}, {family}")
    }
}

/// The namespace of a pod.
pub fn space_of(pod: usize) -> &'static str {
    SPACES.get(pod / 2).copied().unwrap_or(SPACES[0])
}

impl Probe {
    /// The packet on the wire.
    pub fn packet(&self) -> Packet {
        Packet {
            source: self.from.address(self.six),
            destination: self.to.address(self.six),
            transport: match self.carrier {
                Carrier::Tcp => Some(Transport::Tcp),
                Carrier::Udp => Some(Transport::Udp),
                Carrier::Icmp => None,
            },
            port: self.port,
        }
    }

    /// The question to the evaluator.
    pub fn traffic(&self, topology: &Topology) -> Traffic {
        let end = |at: At| match at {
            At::Pod(pod) => {
                End::Pod(topology.pod(space_of(pod), &format!("p{pod}")).expect("a pod"))
            }
            At::World if self.by_name => End::Host(WORLD.to_owned()),
            At::Node(_) | At::World => End::Address(at.address(self.six)),
        };
        let protocol = match self.carrier {
            Carrier::Tcp => IpProtocol::Tcp,
            Carrier::Udp => IpProtocol::Udp,
            Carrier::Icmp => IpProtocol::Icmp,
        };
        let family = if self.six { Family::Ipv6 } else { Family::Ipv4 };
        Traffic::new(end(self.from), end(self.to), protocol, self.port).in_family(family)
    }
}

impl World {
    /// What the evaluator knows of it.
    pub fn topology(&self) -> Topology {
        let spaces = SPACES.iter().map(|name| (*name).to_owned()).zip(self.spaces.clone());
        let pod = |(index, pod): (usize, &Pod)| model::Pod {
            namespace: space_of(index).to_owned(),
            name: format!("p{index}"),
            labels: pod.labels.clone(),
            addresses: At::Pod(index).addresses(),
            ports: pod
                .ports
                .iter()
                .map(|port| model::NamedPort {
                    name: Some(port.name.clone()),
                    number: port.number,
                    protocol: if port.udp { IpProtocol::Udp } else { IpProtocol::Tcp },
                })
                .collect(),
            host_network: At::Pod(index).is_host(),
            node: Some(NODES[index % 2].to_owned()),
            service_account: None,
            workload: None,
        };
        let pods = self.pods.iter().enumerate().map(pod).collect();
        let node = |(index, labels): (usize, &Labels)| Node {
            name: NODES[index].to_owned(),
            labels: labels.clone(),
            addresses: At::Node(index).addresses(),
        };
        let nodes = self.nodes.iter().enumerate().map(node).collect();
        Topology::new(spaces.collect(), pods, nodes, Vec::new())
    }

    /// The policies, as the evaluator reads those that stand in a cluster.
    pub fn policies(&self) -> Result<PolicySet, Vec<Mistake>> {
        PolicySet::read(&self.policies, SPACES[0], Origin::Stored)
    }

    /// What the firewall knows of it.
    pub fn snapshot(&self) -> Result<Snapshot, serde_json::Error> {
        let named = |name: &str, labels: &Labels| {
            let mut labels = labels.clone();
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
            (name.to_owned(), labels)
        };
        let pod = |(index, pod): (usize, &Pod)| PodEntry {
            namespace: space_of(index).to_owned(),
            name: format!("p{index}"),
            labels: pod.labels.clone(),
            addresses: At::Pod(index).addresses(),
            node: NODES[index % 2].to_owned(),
            ports: pod
                .ports
                .iter()
                .map(|port| NamedPort {
                    name: port.name.clone(),
                    protocol: if port.udp { Transport::Udp } else { Transport::Tcp },
                    number: port.number,
                })
                .collect(),
            host_network: At::Pod(index).is_host(),
        };
        let mut snapshot = Snapshot {
            namespaces: SPACES.iter().zip(&self.spaces).map(|(name, it)| named(name, it)).collect(),
            pods: self.pods.iter().enumerate().map(pod).collect(),
            nodes: NODES
                .iter()
                .enumerate()
                .map(|(index, name)| ((*name).to_owned(), node(index)))
                .collect(),
            node_labels: self
                .nodes
                .iter()
                .enumerate()
                .map(|(index, labels)| {
                    (NODES[index].to_owned(), (labels.clone(), At::Node(index).addresses()))
                })
                .collect(),
            hosts: BTreeMap::from([(
                "world".to_owned(),
                (vec![WORLD.to_owned()], At::World.addresses()),
            )]),
            ..Snapshot::default()
        };
        for policy in &self.policies {
            if policy["kind"] == "ClusterNetworkPolicy" {
                let policy = serde_json::from_value::<ClusterNetworkPolicy>(policy.clone())?;
                snapshot.cluster_policies.push(policy);
            } else {
                snapshot.policies.push(serde_json::from_value(policy.clone())?);
            }
        }
        Ok(snapshot)
    }
}

/// A node as the firewall knows it.
pub fn node(index: usize) -> NodeEntry {
    let number = index + 1;
    NodeEntry {
        addresses: At::Node(index).addresses(),
        pod_cidrs: vec![
            format!("10.77.{number}.0/24").parse().expect("a block"),
            format!("fd77:10:77:{number}::/64").parse().expect("a block"),
        ],
    }
}
