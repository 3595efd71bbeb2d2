//! A large cluster: each pod with labels that no other pod has.

use std::{collections::BTreeMap, net::Ipv4Addr};

use netproof::{
    model::{IpProtocol, Labels, NamedPort, Pod, Topology},
    policy::{
        IpBlock, NetworkPolicy, Peer, Policy, PolicySet, PortMatch, Requirement, Rule, Selector,
    },
};

/// How large.
#[derive(Clone, Copy)]
pub struct Size {
    pub pods: usize,
    pub policies: usize,
    pub namespaces: usize,
}

/// Labels that only this pod has, among some that many share.
pub fn labels(pod: usize, salt: usize) -> Labels {
    [
        ("app", format!("app-{}", (pod + salt) % 17)),
        ("tier", format!("tier-{}", (pod / 3 + salt) % 5)),
        ("pod", format!("pod-{pod}-{salt}")),
        ("hash", format!("{:016x}", (pod as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        ("track", if pod.is_multiple_of(9) { "canary" } else { "stable" }.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

pub fn topology(size: Size) -> Topology {
    let space = |number: usize| format!("ns-{:04}", number % size.namespaces);
    let namespaces: BTreeMap<String, Labels> = (0..size.namespaces)
        .map(|number| {
            let team = ("team".to_owned(), format!("team-{}", number % 20));
            (space(number), Labels::from([team]))
        })
        .collect();
    let pods = (0..size.pods).map(|number| Pod {
        namespace: space(number),
        name: format!("pod-{number:06}"),
        labels: labels(number, 0),
        addresses: vec![Ipv4Addr::from_bits(0x0a00_0000 + number as u32).into()],
        ports: vec![NamedPort {
            name: Some("web".to_owned()),
            number: if number % 4 == 0 { 8081 } else { 8080 },
            protocol: IpProtocol::Tcp,
        }],
        // One in a hundred on its node's network.
        host_network: number % 100 == 7,
        node: Some(format!("node-{}", number % 100)),
        ..Pod::default()
    });
    Topology::new(namespaces, pods.collect(), Vec::new(), Vec::new())
}

pub fn policies(size: Size) -> PolicySet {
    PolicySet::new((0..size.policies).map(|number| Policy::Network(policy(number, size, 0))))
}

/// A policy like those that people write, each a little different.
pub fn policy(number: usize, size: Size, salt: usize) -> NetworkPolicy {
    let one = |key: &str, value: String| Selector::labels([(key, value.as_str())]);
    let pod_selector = match number % 10 {
        0 => Selector::everything(),
        1 => Selector { requirements: vec![Requirement::Exists("app".to_owned())] },
        2 => Selector {
            requirements: vec![Requirement::NotIn(
                "track".to_owned(),
                ["canary".to_owned()].into(),
            )],
        },
        _ => one("app", format!("app-{}", (number + salt) % 17)),
    };
    let neighbours =
        Peer::Pods { namespaces: None, pods: Some(one("tier", format!("tier-{}", number % 5))) };
    let team = Peer::Pods {
        namespaces: Some(one("team", format!("team-{}", number % 20))),
        pods: (number.is_multiple_of(3)).then(|| one("app", format!("app-{}", number % 13))),
    };
    let block = Peer::Block(IpBlock {
        cidr: "192.0.2.0/24".parse().expect("a block"),
        except: vec!["192.0.2.128/25".parse().expect("a block")],
    });
    let ports = match number % 4 {
        0 => None,
        1 => Some(vec![PortMatch::one(IpProtocol::Tcp, 8080)]),
        2 => Some(vec![PortMatch::Named(Some(IpProtocol::Tcp), "web".to_owned())]),
        _ => Some(vec![PortMatch::Range(IpProtocol::Tcp, 8000, 8100)]),
    };
    let rules = vec![
        Rule { peers: Some(vec![neighbours, team]), ports },
        Rule { peers: Some(vec![block]), ports: None },
    ];
    NetworkPolicy {
        namespace: format!("ns-{:04}", number % size.namespaces),
        name: format!("policy-{number}"),
        pod_selector,
        ingress: Some(rules.clone()),
        egress: (number.is_multiple_of(2)).then_some(rules),
    }
}
