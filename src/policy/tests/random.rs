//! Clusters, policies and questions by chance, small enough to meet each other often.

use proptest::{collection::vec, option, prelude::*};

use super::super::*;
use crate::model::{End, Family, IpProtocol, Labels, NamedPort, Node, Pod, Topology, Traffic};

const SPACES: [&str; 3] = ["x", "y", "z"];
const NAMES: [&str; 2] = ["web", "alt"];
const PROTOCOLS: [IpProtocol; 3] = IpProtocol::WITH_PORTS;

fn labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map(
        prop::sample::select(vec!["a".to_owned(), "b".to_owned()]),
        prop::sample::select(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]),
        0..3,
    )
}

pub(super) fn selector() -> impl Strategy<Value = Selector> {
    let key = prop::sample::select(vec!["a".to_owned(), "b".to_owned()]);
    let values = proptest::collection::btree_set(
        prop::sample::select(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]),
        1..3,
    );
    let requirement = (key, values, 0..4).prop_map(|(key, values, kind)| match kind {
        0 => Requirement::In(key, values),
        1 => Requirement::NotIn(key, values),
        2 => Requirement::Exists(key),
        _ => Requirement::DoesNotExist(key),
    });
    vec(requirement, 0..3).prop_map(|requirements| Selector { requirements })
}

fn protocol() -> impl Strategy<Value = IpProtocol> {
    prop::sample::select(PROTOCOLS.to_vec())
}

fn number() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![80, 81, 82])
}

fn pod(index: usize) -> impl Strategy<Value = Pod> {
    let port = (prop::sample::select(NAMES.to_vec()), number(), protocol()).prop_map(
        |(name, number, protocol)| NamedPort { name: Some(name.to_owned()), number, protocol },
    );
    let node = option::of(prop::sample::select(vec!["n0", "n1", "n2"]));
    (0..3_usize, labels(), vec(port, 0..3), prop::bool::weighted(0.2), node, 0..4).prop_map(
        move |(space, labels, ports, host_network, node, known)| {
            let node_number = node.map_or(9, |node| node.as_bytes()[1] - b'0');
            let four = if host_network {
                format!("10.9.0.{node_number}")
            } else {
                format!("10.0.{space}.{index}")
            };
            let six = if host_network {
                format!("fd09::{node_number}")
            } else {
                format!("fd00:{space}::{index}")
            };
            let parse = |text: &String| text.parse().expect("an address");
            let addresses = match known {
                0 => vec![],
                1 => vec![parse(&four)],
                2 => vec![parse(&six)],
                _ => vec![parse(&four), parse(&six)],
            };
            Pod {
                namespace: SPACES[space].to_owned(),
                name: format!("p{index}"),
                labels,
                addresses,
                ports,
                host_network,
                node: node.map(str::to_owned),
                service_account: None,
                workload: None,
            }
        },
    )
}

pub(super) fn topology() -> impl Strategy<Value = Topology> {
    let pods = (2..9_usize).prop_flat_map(|count| (0..count).map(pod).collect::<Vec<_>>());
    (pods, vec(labels(), 3), vec(labels(), 2)).prop_map(|(pods, spaces, nodes)| {
        let spaces = SPACES.iter().map(|name| (*name).to_owned()).zip(spaces).collect();
        let node = |(index, labels)| Node {
            name: format!("n{index}"),
            labels,
            addresses: vec![
                format!("10.9.0.{index}").parse().expect("an address"),
                format!("fd09::{index}").parse().expect("an address"),
            ],
        };
        let nodes = nodes.into_iter().enumerate().map(node).collect();
        Topology::new(spaces, pods, nodes, Vec::new())
    })
}

fn block() -> impl Strategy<Value = IpBlock> {
    prop::sample::select(vec![
        ("0.0.0.0/0", vec![]),
        ("::/0", vec![]),
        ("10.0.0.0/8", vec!["10.0.1.0/24"]),
        ("10.0.0.0/16", vec!["10.0.0.0/17", "10.0.128.0/17"]),
        ("fd00::/16", vec!["fd00:1::/32"]),
        ("10.9.0.0/24", vec!["10.9.0.1/32"]),
        ("192.0.2.0/24", vec![]),
        ("0.0.0.0/0", vec!["10.0.0.0/8", "192.0.2.1/32"]),
    ])
    .prop_map(|(cidr, except)| {
        let parse = |text: &str| text.parse().expect("a block");
        IpBlock { cidr: parse(cidr), except: except.into_iter().map(parse).collect() }
    })
}

fn ports(protocol_of_names: bool) -> impl Strategy<Value = Option<Vec<PortMatch>>> {
    let port =
        (protocol(), number(), 0..2_u16, 0..4).prop_map(move |(protocol, number, more, kind)| {
            match kind {
                0 => PortMatch::all(protocol),
                1 | 2 => PortMatch::Range(protocol, number, number + more),
                _ => {
                    let name = NAMES[usize::from(more)].to_owned();
                    PortMatch::Named(protocol_of_names.then_some(protocol), name)
                }
            }
        });
    option::of(vec(port, 1..3))
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let peer = prop_oneof![
        (option::of(selector()), option::of(selector())).prop_map(|(namespaces, pods)| {
            let pods = if namespaces.is_none() {
                pods.or_else(|| Some(Selector::default()))
            } else {
                pods
            };
            Peer::Pods { namespaces, pods }
        }),
        block().prop_map(Peer::Block),
    ];
    let rule = (option::weighted(0.8, vec(peer, 1..3)), ports(true))
        .prop_map(|(peers, ports)| Rule { peers, ports });
    option::weighted(0.8, vec(rule, 0..3))
}

pub(super) fn network() -> impl Strategy<Value = NetworkPolicy> {
    (0..3_usize, 0..1000_u32, selector(), rules(), rules()).prop_map(
        |(space, name, pod_selector, ingress, egress)| NetworkPolicy {
            namespace: SPACES[space].to_owned(),
            name: format!("np-{name}"),
            pod_selector,
            ingress,
            egress,
        },
    )
}

fn cluster_rules(egress: bool) -> impl Strategy<Value = Vec<ClusterRule>> {
    let subject =
        || (selector(), selector()).prop_map(|(namespaces, pods)| Subject { namespaces, pods });
    let networks = vec(block(), 1..3).prop_map(|blocks| {
        ClusterPeer::Networks(blocks.into_iter().map(|block| block.cidr).collect())
    });
    let names = prop::sample::select(vec!["*.example.com", "*.svc.cluster.local", "example.com"])
        .prop_map(|name| ClusterPeer::DomainNames(vec![name.to_owned()]));
    let peer = prop_oneof![
        6 => subject().prop_map(ClusterPeer::Pods),
        2 => networks,
        2 => selector().prop_map(ClusterPeer::Nodes),
        1 => names,
        1 => Just(ClusterPeer::Unknown("future".to_owned())),
    ];
    let action = prop::sample::select(vec![Action::Accept, Action::Deny, Action::Pass]);
    let rule = (action, vec(peer, 1..3), ports(false)).prop_map(move |(action, peers, ports)| {
        let only = |peer: &ClusterPeer| {
            egress || matches!(peer, ClusterPeer::Pods(_) | ClusterPeer::Unknown(_))
        };
        let mut peers: Vec<_> = peers.into_iter().filter(only).collect();
        if peers.is_empty() {
            let everything = Subject { namespaces: Default::default(), pods: Default::default() };
            peers.push(ClusterPeer::Pods(everything));
        }
        let foreign =
            |peer: &ClusterPeer| !matches!(peer, ClusterPeer::Pods(_) | ClusterPeer::Unknown(_));
        let named = |port: &PortMatch| matches!(port, PortMatch::Named(..));
        let both = peers.iter().any(foreign) && ports.iter().flatten().any(named);
        ClusterRule { name: None, action, peers, ports: if both { None } else { ports } }
    });
    vec(rule, 0..3)
}

pub(super) fn cluster() -> impl Strategy<Value = ClusterPolicy> {
    let tier = prop::sample::select(vec![Tier::Admin, Tier::Baseline]);
    (0..1000_u32, tier, 0..3_u16, selector(), selector(), cluster_rules(false), cluster_rules(true))
        .prop_map(|(name, tier, priority, namespaces, pods, ingress, egress)| ClusterPolicy {
            kind: ClusterKind::ClusterNetworkPolicy,
            name: format!("cnp-{name}"),
            tier,
            priority,
            subject: Subject { namespaces, pods },
            ingress,
            egress,
        })
}

pub(super) fn policies() -> impl Strategy<Value = PolicySet> {
    (vec(network(), 0..6), vec(cluster(), 0..4)).prop_map(|(network, cluster)| {
        let mut all: Vec<Policy> = network
            .into_iter()
            .map(Policy::Network)
            .chain(cluster.into_iter().map(Policy::Cluster))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|policy| seen.insert(policy.to_string()));
        PolicySet::new(all)
    })
}

/// A question about this topology.
pub(super) fn traffic(topology: &Topology) -> impl Strategy<Value = Traffic> + use<> {
    let pods = topology.pods().len();
    let end = || {
        prop_oneof![
            8 => (0..pods).prop_map(End::Pod),
            1 => prop::sample::select(vec!["192.0.2.1", "192.0.2.9", "10.9.0.0", "10.9.0.1", "fd09::1", "2001:db8::1"])
                .prop_map(|text| End::Address(text.parse().expect("an address"))),
            1 => prop::sample::select(vec!["www.example.com", "example.com", "example.org"])
                .prop_map(|text| End::Host(text.to_owned())),
        ]
    };
    let protocol = prop_oneof![
        9 => protocol(),
        1 => Just(IpProtocol::Icmp),
    ];
    let via = option::weighted(0.1, vec(Just("10.96.0.1".parse().expect("an address")), 0..2));
    (end(), end(), protocol, number(), any::<bool>(), via).prop_map(
        |(from, to, protocol, port, six, via)| {
            let mut traffic = Traffic::new(from, to, protocol, port);
            let family = if six { Family::Ipv6 } else { Family::Ipv4 };
            traffic.family = traffic.family.or(Some(family));
            match via {
                Some(addresses) => traffic.through(addresses),
                None => traffic,
            }
        },
    )
}
