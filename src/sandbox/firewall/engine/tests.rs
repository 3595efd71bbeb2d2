//! Whole tables for a small cluster, as people read them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use insta::assert_snapshot;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Deserialize as _;

use super::*;
use crate::{
    model::{Labels, Transport},
    sandbox::firewall::{NamedPort, ServiceEntry, ruleset::Base},
};

/// `web` and `api` on node one, `db` on node two, `guest` of another namespace beside it.
fn snapshot(policies: &str) -> Snapshot {
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    let pod = |name: &str, namespace: &str, node: u8, last: u8, main: u16| PodEntry {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: label("app", name),
        addresses: vec![Ipv4Addr::new(10, 0, node, last).into()],
        node: format!("node-{node}"),
        ports: [Transport::Tcp, Transport::Udp]
            .map(|protocol| NamedPort { name: "main".to_owned(), protocol, number: main })
            .into(),
        host_network: false,
    };
    Snapshot {
        namespaces: [("shop", "a"), ("other", "b")]
            .map(|(name, team)| (name.to_owned(), label("team", team)))
            .into(),
        pods: vec![
            pod("web", "shop", 1, 2, 8080),
            pod("api", "shop", 1, 3, 8080),
            pod("db", "shop", 2, 2, 5432),
            pod("guest", "other", 2, 3, 8080),
            PodEntry { host_network: true, ..pod("agent", "shop", 2, 1, 9100) },
        ],
        policies: serde_yaml::Deserializer::from_str(policies)
            .filter(|_| !policies.is_empty())
            .map(|document| {
                let mut policy = NetworkPolicy::deserialize(document).expect("a policy");
                policy.metadata.namespace = Some("shop".to_owned());
                policy
            })
            .collect(),
        ..Snapshot::default()
    }
}

/// The table without the parts that stand in every one.
fn isolation(snapshot: &Snapshot, node: &str, faults: &[NetworkFault]) -> String {
    let mut rules = compile(snapshot, node, faults);
    rules.chains.retain(|chain| match chain.base {
        None => chain.name != "services",
        Some(base) => {
            [Base::FilterForward, Base::FilterEgress, Base::FilterIngress].contains(&base)
        }
    });
    rules.to_nft()
}

/// Gives every pod but those of a node an IPv6 address beside its own.
fn dual_stack(snapshot: &mut Snapshot, but: &str) {
    for pod in snapshot.pods.iter_mut().filter(|pod| pod.node != but) {
        let Some(IpAddr::V4(address)) = pod.addresses.first().copied() else { continue };
        let six = u128::from(u32::from(address) & 0xffff) | 0xfd00 << 112;
        pod.addresses.push(Ipv6Addr::from(six).into());
    }
}

const CORNERS: &str = "
metadata: {name: ingress}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - {}
  - {from: [{podSelector: {}}], ports: [{port: main}, {protocol: UDP}, {}]}
  - {from: [{namespaceSelector: {matchLabels: {team: b}}}], ports: [{port: 80, endPort: 90}]}
  - {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/16]}}, {podSelector: {matchLabels: {app: web}}}]}
  - {from: [{podSelector: {matchLabels: {app: nobody}}}]}
  - {ports: [{port: 80, protocol: SCTP}, {port: other}]}
---
metadata: {name: egress}
spec:
  podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web, api]}]}
  policyTypes: [Egress]
  ingress: [{}]
  egress:
  - {to: [{namespaceSelector: {}}], ports: [{port: main}]}
  - {to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}
";

#[test]
fn every_corner_of_a_rule_has_its_own_match() {
    assert_snapshot!(isolation(&snapshot(CORNERS), "node-2", &[]));
}

#[test]
fn pods_of_a_namespace_share_its_chain() {
    let deny_all = "{metadata: {name: deny-all}, spec: {policyTypes: [Ingress, Egress]}}";
    assert_snapshot!(isolation(&snapshot(deny_all), "node-1", &[]));
}

#[test]
fn faults_leave_out_or_change_what_they_say() {
    let deny_all = "{metadata: {name: deny-all}, spec: {policyTypes: [Ingress, Egress]}}";
    let snapshot = snapshot(deny_all);
    for fault in ["ignore-ingress", "ignore-egress", "enforce-nothing", "reject", "loss=10%"] {
        let faults = [fault.parse().expect(fault)];
        let name = format!("fault_{}", fault.split('=').next().unwrap_or(fault));
        assert_snapshot!(name, isolation(&snapshot, "node-2", &faults));
    }
    let unbroken = compile(&snapshot, "node-2", &[]);
    for fault in ["delay=8s", "dead-path", "loss=0%"] {
        let broken = compile(&snapshot, "node-2", &[fault.parse().expect(fault)]);
        assert_eq!(broken, unbroken, "{fault} is not the node's");
    }
}

#[test]
fn each_family_of_a_pod_is_judged_by_its_own_sets() {
    let mut snapshot = snapshot(
        "
metadata: {name: both}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - {from: [{podSelector: {}}], ports: [{port: main}]}
  - {from: [{ipBlock: {cidr: 'fd00::/16', except: ['fd00::/120']}}, {ipBlock: {cidr: 10.0.0.0/8}}]}
  egress:
  - {to: [{podSelector: {}}], ports: [{port: main, protocol: UDP}]}
",
    );
    dual_stack(&mut snapshot, "node-1");
    assert_snapshot!(isolation(&snapshot, "node-2", &[]));
}

#[test]
fn the_order_in_which_the_api_lists_things_changes_nothing() {
    let forward = snapshot(CORNERS);
    let mut backward = forward.clone();
    backward.pods.reverse();
    backward.policies.reverse();
    for node in ["node-1", "node-2"] {
        assert_eq!(compile(&forward, node, &[]), compile(&backward, node, &[]), "{node}");
    }
}

const CLUSTER: &str = "
metadata: {name: guard}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {matchLabels: {team: a}}}
  ingress:
  - {action: Accept, from: [{pods: {podSelector: {matchLabels: {app: guest}}}}], protocols: [{destinationNamedPort: main}]}
  - {name: the rest, action: Pass, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 9}}}}]}
  - {action: Deny, from: [{namespaces: {}}], protocols: [{sctp: {destinationPort: {number: 80}}}]}
---
metadata: {name: first}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {podSelector: {matchLabels: {app: guest}}}}
  egress:
  - {action: Deny, to: [{nodes: {matchLabels: {zone: a}}}, {networks: [10.0.9.0/24, 192.0.2.1/32]}]}
  - {action: Accept, to: [{domainNames: ['*.example.com']}]}
  - {action: Accept, to: [{}]}
  - {action: Pass, to: [{}]}
---
metadata: {name: floor}
spec:
  tier: Baseline
  priority: 0
  subject: {namespaces: {}}
  ingress:
  - {action: Pass, from: [{pods: {podSelector: {matchLabels: {app: web}}}}]}
  - {action: Deny, from: [{namespaces: {}}]}
";

#[test]
fn tiers_stand_before_and_after_the_namespaces() {
    let mut snapshot =
        snapshot("{metadata: {name: web}, spec: {podSelector: {matchLabels: {app: web}}}}");
    snapshot.cluster_policies = serde_yaml::Deserializer::from_str(CLUSTER)
        .map(|document| ClusterNetworkPolicy::deserialize(document).expect("a policy"))
        .collect();
    let addresses = vec![[10, 9, 0, 1].into()];
    let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
    snapshot.node_labels.insert("node-1".into(), (labels, addresses));
    let host = (vec!["API.example.com".to_owned()], vec![[192, 0, 2, 7].into()]);
    snapshot.hosts.insert("api".into(), host);
    assert_snapshot!("tiers", isolation(&snapshot, "node-2", &[]));
    let reject = ["reject".parse().expect("a fault")];
    assert_snapshot!("tiers_rejecting", isolation(&snapshot, "node-2", &reject));
    let mut engine = Engine::of(&snapshot, ["node-2"], &[], true);
    engine.take();
    assert_snapshot!("tiers_told", engine.ruleset("node-2").expect("the node").to_nft());
}

#[test]
fn a_new_connection_is_told_to_the_flow_log_with_what_decided() {
    let mut engine = Engine::of(&snapshot(CORNERS), ["node-2"], &[], true);
    engine.take();
    assert_snapshot!(engine.ruleset("node-2").expect("the node").to_nft());
}

#[test]
fn names_of_any_length_fit() {
    let mut snapshot = snapshot("{metadata: {name: it}}");
    snapshot.policies[0].metadata.name = Some("n".repeat(253));
    let rules = compile(&snapshot, "node-1", &[]);
    let other = {
        snapshot.policies[0].metadata.name = Some(format!("{}m", "n".repeat(252)));
        compile(&snapshot, "node-1", &[])
    };
    let longest = |rules: &Ruleset| {
        let sets = rules.sets.iter().map(|set| set.name.clone());
        let chains = rules.chains.iter().map(|chain| chain.name.clone());
        sets.chain(chains).max_by_key(String::len).expect("some")
    };
    assert!(longest(&rules).len() < 256, "{}", longest(&rules));
    assert_ne!(longest(&rules), longest(&other), "names differ in their last letter alone");
}

#[test]
fn the_later_of_two_pods_with_one_address_counts() {
    let deny_web = "{metadata: {name: deny-web}, spec: {podSelector: {matchLabels: {app: web}}}}";
    let mut snapshot = snapshot(deny_web);
    let old = snapshot.pods.remove(0);
    let new = PodEntry { name: "new".to_owned(), labels: Labels::new(), ..old.clone() };
    let isolates = |first: &PodEntry, second: &PodEntry| {
        let mut snapshot = snapshot.clone();
        snapshot.pods.extend([first.clone(), second.clone()]);
        compile(&snapshot, "node-1", &[]).to_nft().contains("jump ingress/shop")
    };
    assert!(isolates(&new, &old), "the isolated one came later");
    assert!(!isolates(&old, &new), "the isolated one has gone");
}

#[test]
fn a_change_of_one_services_affinity_touches_its_chains_alone() {
    use crate::sandbox::firewall::{EndpointEntry, ServicePortEntry};
    let service = |name: &str, last: u8, seconds: u64| ServiceEntry {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        cluster_ips: vec![[10, 96, 0, last].into()],
        affinity: Some(std::time::Duration::from_secs(seconds)),
        ports: vec![ServicePortEntry {
            protocol: Transport::Tcp,
            port: 80,
            node_port: None,
            endpoints: vec![EndpointEntry {
                address: [10, 0, 1, 2].into(),
                port: 8080,
                node: "node-1".to_owned(),
                ready: true,
            }],
        }],
        ..ServiceEntry::default()
    };
    let mut engine = Engine::of(&snapshot(CORNERS), ["node-1"], &[], true);
    engine.set_services(vec![service("web", 1, 10), service("api", 2, 10)]);
    engine.take();
    engine.set_services(vec![service("web", 1, 20), service("api", 2, 10)]);
    let Some(Update::Delta(delta)) = engine.take().remove("node-1") else { panic!("a delta") };
    let own = |name: &String| name.contains("/shop/web/");
    assert!(!delta.flushed.is_empty() && delta.flushed.iter().all(own), "{:?}", delta.flushed);
    assert!(delta.old_sets.iter().all(own), "{:?}", delta.old_sets);
}
