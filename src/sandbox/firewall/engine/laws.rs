//! That no history matters: whatever happened, the kernel's table is what the last state
//! alone would lead to.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::{kernel::Kernel, *};
use crate::{
    model::Transport,
    sandbox::firewall::{EndpointEntry, NamedPort, ServiceEntry, ServicePortEntry},
};

const NODES: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Happening {
    /// Namespace, label.
    Namespace(u8, Option<u8>),
    /// Namespace, name, then: node, address, IPv6 too, label, named port.
    Pod(u8, u8, Option<(u8, u8, bool, u8, u16)>),
    /// The pod's isolation is late.
    Open(u8, u8),
    /// Namespace, name, which text.
    Policy(u8, u8, Option<u8>),
    /// Name, which text, priority.
    ClusterPolicy(u8, Option<(u8, u8)>),
    /// Which one, label.
    Node(u8, Option<u8>),
    /// Name, last part of its address.
    Host(u8, Option<u8>),
    /// How many Services, to how many endpoints, and their affinity.
    Services(u8, u8, Option<u8>),
    Faults(Vec<u8>),
    /// A node refuses what it is given next.
    Refusal(u8),
    /// What has changed is loaded.
    Load,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{
        ClusterPolicy, Faults, Host, Load, Namespace, Node, Open, Pod, Policy, Refusal, Services,
    };
    let pod = (0..3_u8, 0..8_u8, any::<bool>(), 0..3_u8, 8080..8082_u16);
    prop_oneof![
        2 => (0..3_u8, prop::option::weighted(0.9, 0..3_u8)).prop_map(|(a, b)| Namespace(a, b)),
        8 => (0..3_u8, 0..4_u8, prop::option::weighted(0.8, pod)).prop_map(|(a, b, c)| Pod(a, b, c)),
        1 => (0..3_u8, 0..4_u8).prop_map(|(a, b)| Open(a, b)),
        6 => (0..3_u8, 0..3_u8, prop::option::weighted(0.8, 0..SPECS))
            .prop_map(|(a, b, c)| Policy(a, b, c)),
        4 => (0..4_u8, prop::option::weighted(0.8, (0..CLUSTER_SPECS, 0..3_u8)))
            .prop_map(|(a, b)| ClusterPolicy(a, b)),
        1 => (0..2_u8, prop::option::weighted(0.8, 0..3_u8)).prop_map(|(a, b)| Node(a, b)),
        1 => (0..2_u8, prop::option::weighted(0.8, 0..3_u8)).prop_map(|(a, b)| Host(a, b)),
        1 => (0..3_u8, 0..3_u8, prop::option::of(1..3_u8))
            .prop_map(|(a, b, c)| Services(a, b, c)),
        1 => prop::collection::vec(0..FAULTS.len() as u8, 0..3).prop_map(Faults),
        1 => (0..2_u8).prop_map(Refusal),
        6 => Just(Load),
    ]
}

const FAULTS: [&str; 14] = [
    "ignore-ingress",
    "enforce-nothing",
    "reject",
    "loss=10%",
    "ignore-except",
    "ignore-end-port",
    "ignore-named-ports",
    "ignore-namespace-selector",
    "ignore-ipblock-pods",
    "ignore-udp",
    "allow-own-namespace",
    "first-policy-only",
    "or-selectors",
    "drop-replies-udp",
];

const SPECS: u8 = 10;

fn spec(which: u8) -> serde_json::Value {
    let label = |value: u8| json!({"matchLabels": {"app": value.to_string()}});
    match which {
        0 => json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        1 => json!({"podSelector": label(0), "ingress": [{}]}),
        2 => json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": label(1)}]}]}),
        3 => json!({"podSelector": label(1), "ingress": [
            {"from": [{"namespaceSelector": label(0)}], "ports": [{"port": "main"}]}]}),
        4 => json!({"podSelector": label(2), "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {}, "podSelector": label(0)}],
             "ports": [{"port": "main"}, {"port": 80, "endPort": 90, "protocol": "UDP"}]}]}),
        5 => json!({"podSelector": {}, "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.3/32"]}},
                    {"ipBlock": {"cidr": "fd00::/16"}}, {"podSelector": label(2)}]},
            {"ports": [{"port": "main"}]}]}),
        6 => json!({"podSelector": label(0), "ingress": [{"ports": [{"port": "main"}]}],
                    "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}),
        7 => {
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["0"]}]},
                    "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "main"}]}]})
        }
        8 => {
            json!({"podSelector": label(1), "ingress": [{"from": [{"namespaceSelector": label(1), "podSelector": {}}]}]})
        }
        _ => json!({}),
    }
}

const CLUSTER_SPECS: u8 = 6;

fn cluster_spec(which: u8, priority: u8) -> serde_json::Value {
    let label = |value: u8| json!({"matchLabels": {"app": value.to_string()}});
    let mut spec = match which {
        0 => json!({"tier": "Admin", "subject": {"namespaces": {}}, "ingress": [
            {"action": "Deny", "from": [{"namespaces": label(0)}]}]}),
        1 => json!({"tier": "Baseline", "subject": {"namespaces": label(1)}, "egress": [
            {"action": "Pass", "to": [{"nodes": label(0)}, {"networks": ["10.0.0.4/30", "fd00::/16"]}]},
            {"name": "x", "action": "Accept", "to": [{"domainNames": ["*.example.com"]}]},
            {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}]}),
        2 => json!({"tier": "Admin",
            "subject": {"pods": {"namespaceSelector": {}, "podSelector": label(1)}},
            "ingress": [{"action": "Pass", "from": [{"namespaces": {}}],
                "protocols": [{"destinationNamedPort": "main"}]}],
            "egress": [{"action": "Accept", "to": [{"pods": {"podSelector": label(2)}}],
                "protocols": [{"destinationNamedPort": "main"},
                    {"udp": {"destinationPort": {"range": {"start": 1, "end": 99}}}}]}]}),
        3 => json!({"tier": "Baseline", "subject": {"namespaces": label(2)},
            "ingress": [{"action": "Deny", "from": [{}]}, {"action": "Accept", "from": [{}]}],
            "egress": [{"action": "Deny", "to": [{"namespaces": {}}],
                "protocols": [{"sctp": {"destinationPort": {"number": 80}}}]}]}),
        4 => json!({"tier": "Admin", "subject": {"namespaces": label(0)}}),
        _ => json!({"tier": "Admin", "subject": {"namespaces": label(0)}, "egress": [
            {"action": "Deny", "to": [{"nodes": {}}]}]}),
    };
    spec["priority"] = priority.into();
    spec
}

/// What an engine has been told, as it stands.
#[derive(Clone, Debug, Default)]
struct World {
    snapshot: Snapshot,
    open: BTreeSet<PodKey>,
    faults: Vec<NetworkFault>,
}

impl World {
    fn happen(&mut self, happening: &Happening, engine: &mut Engine, kernels: &mut [Kernel; 2]) {
        let space = |number: &u8| format!("n{number}");
        let labels = |label: u8| Labels::from([("app".to_owned(), label.to_string())]);
        match happening {
            Happening::Namespace(name, label) => {
                let (name, labels) = (space(name), label.map(labels));
                match &labels {
                    Some(labels) => {
                        _ = self.snapshot.namespaces.insert(name.clone(), labels.clone())
                    }
                    None => _ = self.snapshot.namespaces.remove(&name),
                }
                engine.set_namespace(&name, labels);
            }
            Happening::Pod(namespace, name, is) => {
                let (namespace, name) = (space(namespace), format!("p{name}"));
                let mut addresses_before = None;
                let known = |pod: &PodEntry| pod.namespace == namespace && pod.name == name;
                let index = self.snapshot.pods.iter().position(known);
                let entry = is.map(|(node, address, six, label, port)| {
                    let mut addresses: Vec<IpAddr> = vec![[10, 0, 0, address].into()];
                    if six {
                        addresses.push([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(address)].into());
                    }
                    PodEntry {
                        namespace: namespace.clone(),
                        name: name.clone(),
                        labels: labels(label),
                        addresses,
                        // The third is no node of ours.
                        node: (*NODES.get(usize::from(node)).unwrap_or(&"three")).to_owned(),
                        ports: vec![NamedPort {
                            name: "main".to_owned(),
                            protocol: Transport::Tcp,
                            number: port,
                        }],
                        host_network: false,
                    }
                });
                if let Some(index) = index {
                    addresses_before = Some((index, self.snapshot.pods.remove(index).addresses));
                }
                if let Some(entry) = &entry {
                    match addresses_before {
                        Some((index, before)) if before == entry.addresses => {
                            self.snapshot.pods.insert(index, entry.clone());
                        }
                        _ => self.snapshot.pods.push(entry.clone()),
                    }
                }
                self.open.remove(&(namespace.clone(), name.clone()));
                engine.set_pod(&namespace, &name, entry, false);
            }
            Happening::Open(namespace, name) => {
                let (namespace, name) = (space(namespace), format!("p{name}"));
                let known = |pod: &&PodEntry| pod.namespace == namespace && pod.name == name;
                if let Some(pod) = self.snapshot.pods.iter().find(known) {
                    self.open.insert((namespace.clone(), name.clone()));
                    engine.set_pod(&namespace, &name, Some(pod.clone()), true);
                }
            }
            Happening::Policy(namespace, name, which) => {
                let (namespace, name) = (space(namespace), format!("policy{name}"));
                let known = |policy: &NetworkPolicy| {
                    policy.metadata.namespace.as_ref() == Some(&namespace)
                        && policy.metadata.name.as_ref() == Some(&name)
                };
                self.snapshot.policies.retain(|policy| !known(policy));
                match which {
                    Some(which) => {
                        let policy = json!({
                            "metadata": {"namespace": namespace, "name": name},
                            "spec": spec(*which),
                        });
                        let policy: NetworkPolicy =
                            serde_json::from_value(policy).expect("a policy");
                        engine.set_policy(&policy);
                        self.snapshot.policies.push(policy);
                    }
                    None => engine.remove_policy(&namespace, &name),
                }
            }
            Happening::ClusterPolicy(name, is) => {
                let name = format!("cluster{name}");
                let known = &mut self.snapshot.cluster_policies;
                known.retain(|policy| policy.metadata.name.as_ref() != Some(&name));
                match is {
                    Some((which, priority)) => {
                        let policy = json!({
                            "metadata": {"name": name}, "spec": cluster_spec(*which, *priority),
                        });
                        let policy: ClusterNetworkPolicy =
                            serde_json::from_value(policy).expect("a policy");
                        engine.set_cluster_policy(&policy);
                        known.push(policy);
                    }
                    None => engine.remove_cluster_policy(&name),
                }
            }
            Happening::Node(node, label) => {
                let name = format!("node{node}");
                self.snapshot.node_labels.remove(&name);
                let addresses = vec![[10, 9, 0, *node].into(), [0xfd09; 8].into()];
                let is = label.map(|label| (labels(label), addresses));
                engine.set_node(&name, is.clone());
                self.snapshot.node_labels.extend(is.map(|is| (name, is)));
            }
            Happening::Host(host, last) => {
                let name = format!("host{host}");
                self.snapshot.hosts.remove(&name);
                let names = vec![format!("{name}.Example.com."), "example.com".to_owned()];
                let is = last.map(|last| (names, vec![[192, 0, 2, last].into()]));
                engine.set_host(&name, is.clone());
                self.snapshot.hosts.extend(is.map(|is| (name, is)));
            }
            Happening::Services(count, endpoints, affinity) => {
                let service = |number: u8| ServiceEntry {
                    namespace: "n0".to_owned(),
                    name: format!("s{number}"),
                    cluster_ips: vec![[10, 96, 0, number].into()],
                    // One keeps its own.
                    affinity: affinity.map(|seconds| {
                        Duration::from_secs(if number == 0 { 9 } else { seconds.into() })
                    }),
                    ports: vec![ServicePortEntry {
                        protocol: Transport::Tcp,
                        port: 80,
                        node_port: None,
                        endpoints: (0..*endpoints)
                            .map(|last| EndpointEntry {
                                address: [10, 0, 0, last].into(),
                                port: 80,
                                node: String::new(),
                                ready: true,
                            })
                            .collect(),
                    }],
                    ..ServiceEntry::default()
                };
                self.snapshot.services = (0..*count).map(service).collect();
                engine.set_services(self.snapshot.services.clone());
            }
            Happening::Faults(which) => {
                let fault = |index: &u8| FAULTS[usize::from(*index)].parse().expect("a fault");
                self.faults = which.iter().map(fault).collect();
                engine.set_faults(&self.faults);
            }
            Happening::Refusal(node) => {
                load(engine, kernels, Some(NODES[usize::from(*node)]));
            }
            Happening::Load => load(engine, kernels, None),
        }
    }

    /// The engine that comes to this state by the shortest way.
    fn afresh(&self) -> Engine {
        let mut engine = Engine::of(&self.snapshot, NODES, &self.faults, true);
        for pod in &self.snapshot.pods {
            if self.open.contains(&(pod.namespace.clone(), pod.name.clone())) {
                engine.set_pod(&pod.namespace, &pod.name, Some(pod.clone()), true);
            }
        }
        engine
    }
}

fn load(engine: &mut Engine, kernels: &mut [Kernel; 2], refuses: Option<&str>) {
    let updates = engine.take();
    for (node, kernel) in NODES.into_iter().zip(kernels) {
        match updates.get(node) {
            Some(_) if refuses == Some(node) => engine.reload(node),
            Some(update) => kernel.take(update),
            None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_in_the_rules_of_its_last_state(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut engine = Engine::new(NODES, true);
        let mut kernels = [Kernel::default(), Kernel::default()];
        let mut world = World::default();
        for happening in &happenings {
            world.happen(happening, &mut engine, &mut kernels);
        }
        load(&mut engine, &mut kernels, None);
        let mut fresh = world.afresh();
        let mut updates = fresh.take();
        for (node, kernel) in NODES.into_iter().zip(kernels) {
            prop_assert_eq!(&kernel, &Kernel::of(engine.ruleset(node).expect("a node")), "as said");
            let Some(Update::Whole(rules)) = updates.remove(node) else {
                panic!("a new node loads all");
            };
            prop_assert_eq!(kernel, Kernel::of(rules), "as from scratch");
        }
        prop_assert_eq!(engine.take().len(), 0, "nothing is left to do");
    }
}
