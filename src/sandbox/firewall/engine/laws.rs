//! That no history matters: whatever happened, the kernel's table is what the last state
//! alone would lead to.

use std::fmt::Debug;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    model::Transport,
    sandbox::firewall::{
        EndpointEntry, NamedPort, ServicePortEntry,
        ruleset::{Action, Chain, Elements, Match, Rule, Set},
    },
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
    /// How many Services, to how many endpoints.
    Services(u8, u8),
    Faults(Vec<u8>),
    /// A node refuses what it is given next.
    Refusal(u8),
    /// What has changed is loaded.
    Load,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Faults, Load, Namespace, Open, Pod, Policy, Refusal, Services};
    let pod = (0..3_u8, 0..8_u8, any::<bool>(), 0..3_u8, 8080..8082_u16);
    prop_oneof![
        2 => (0..3_u8, prop::option::weighted(0.9, 0..3_u8)).prop_map(|(a, b)| Namespace(a, b)),
        8 => (0..3_u8, 0..4_u8, prop::option::weighted(0.8, pod)).prop_map(|(a, b, c)| Pod(a, b, c)),
        1 => (0..3_u8, 0..4_u8).prop_map(|(a, b)| Open(a, b)),
        6 => (0..3_u8, 0..3_u8, prop::option::weighted(0.8, 0..SPECS))
            .prop_map(|(a, b, c)| Policy(a, b, c)),
        1 => (0..3_u8, 0..3_u8).prop_map(|(a, b)| Services(a, b)),
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
            Happening::Services(count, endpoints) => {
                let service = |number: u8| ServiceEntry {
                    namespace: "n0".to_owned(),
                    name: format!("s{number}"),
                    cluster_ips: vec![[10, 96, 0, number].into()],
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

/// A kernel that refuses what the real one would.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kernel {
    sets: BTreeMap<String, Set>,
    chains: BTreeMap<String, Chain>,
}

impl Kernel {
    fn of(rules: Ruleset) -> Self {
        let sets = rules.sets.into_iter().map(|set| (set.name.clone(), set)).collect();
        let chains = rules.chains.into_iter().map(|chain| (chain.name.clone(), chain)).collect();
        Self { sets, chains }
    }

    fn take(&mut self, update: &Update) {
        let delta = match update {
            Update::Whole(rules) => {
                let (sets, chains) = (rules.sets.len(), rules.chains.len());
                *self = Self::of(rules.clone());
                assert_eq!(
                    (self.sets.len(), self.chains.len()),
                    (sets, chains),
                    "names are unique"
                );
                return self.check();
            }
            Update::Delta(delta) => delta,
        };
        for chain in &delta.new_chains {
            let old = self.chains.insert(chain.name.clone(), chain.clone());
            assert_eq!(old, None, "chain {} is new", chain.name);
        }
        for name in &delta.flushed {
            self.chains.get_mut(name).expect(name).rules.clear();
        }
        for set in &delta.removed {
            let old = self.sets.get_mut(&set.name).expect(&set.name);
            old.elements = merged(&old.elements, &set.elements, false);
        }
        for name in &delta.old_sets {
            assert!(!self.is_used(name), "set {name} is in use");
            self.sets.remove(name).expect(name);
        }
        for set in &delta.new_sets {
            let old = self.sets.insert(set.name.clone(), set.clone());
            assert_eq!(old, None, "set {} is new", set.name);
        }
        for set in &delta.added {
            let old = self.sets.get_mut(&set.name).expect(&set.name);
            old.elements = merged(&old.elements, &set.elements, true);
        }
        for chain in &delta.rules {
            let own = self.chains.get_mut(&chain.name).expect(&chain.name);
            own.rules.extend(chain.rules.iter().cloned());
        }
        for name in &delta.old_chains {
            assert!(!self.leads_to(name), "chain {name} is in use");
            self.chains.remove(name).expect(name);
        }
        self.check();
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.chains.values().flat_map(|chain| &chain.rules)
    }

    fn is_used(&self, set: &str) -> bool {
        self.rules().any(|rule| sets_of(rule).contains(&set))
    }

    fn leads_to(&self, chain: &str) -> bool {
        let jumps = self.sets.values().any(|set| match &set.elements {
            Elements::Jumps(jumps) => jumps.values().any(|jump| jump.chain == chain),
            _ => false,
        });
        jumps || self.rules().any(|rule| matches!(&rule.action, Action::Jump(to) if to == chain))
    }

    /// All that is referred to is there.
    fn check(&self) {
        for rule in self.rules() {
            for set in sets_of(rule) {
                assert!(self.sets.contains_key(set), "set {set}, of {rule}");
            }
            if let Action::Jump(to) = &rule.action {
                assert!(self.chains.contains_key(to), "chain {to}, of {rule}");
            }
        }
        for set in self.sets.values() {
            if let Elements::Jumps(jumps) = &set.elements {
                for jump in jumps.values() {
                    assert!(self.chains.contains_key(&jump.chain), "chain {}", jump.chain);
                }
            }
        }
    }
}

fn sets_of(rule: &Rule) -> Vec<&str> {
    let mut sets: Vec<&str> = rule
        .matches
        .iter()
        .filter_map(|one| match one {
            Match::SourceIn(_, set)
            | Match::DestinationIn(_, set)
            | Match::SourceNotIn(_, set)
            | Match::DestinationNotIn(_, set)
            | Match::PairIn(_, set)
            | Match::SocketIn(_, set) => Some(set.as_str()),
            _ => None,
        })
        .collect();
    if let Action::JumpBySource(_, map) | Action::JumpByDestination(_, map) = &rule.action {
        sets.push(map);
    }
    sets
}

/// Elements with others put in or taken out; those must not be there before, or must.
fn merged(old: &Elements, change: &Elements, put: bool) -> Elements {
    fn all<T: Ord + Clone + Debug>(
        old: &BTreeSet<T>,
        change: &BTreeSet<T>,
        put: bool,
    ) -> BTreeSet<T> {
        if put {
            assert!(old.is_disjoint(change), "{change:?} was there");
            old.union(change).cloned().collect()
        } else {
            assert!(old.is_superset(change), "{change:?} was not there");
            old.difference(change).cloned().collect()
        }
    }
    match (old, change) {
        (Elements::Addresses(old), Elements::Addresses(change)) => {
            let set = |set: &crate::sandbox::firewall::addresses::Addresses| {
                set.ranges().map(|(one, _)| one).collect()
            };
            Elements::Addresses(all(&set(old), &set(change), put).into_iter().collect())
        }
        (Elements::Sockets(old), Elements::Sockets(change)) => {
            Elements::Sockets(all(old, change, put))
        }
        (Elements::Pairs(old), Elements::Pairs(change)) => Elements::Pairs(all(old, change, put)),
        (Elements::Jumps(old), Elements::Jumps(change)) => {
            let set = |map: &BTreeMap<IpAddr, _>| -> BTreeSet<_> {
                map.iter()
                    .map(|(key, jump)| (*key, super::super::ruleset::Jump::clone(jump)))
                    .collect()
            };
            Elements::Jumps(all(&set(old), &set(change), put).into_iter().collect())
        }
        (Elements::Services(old), Elements::Services(change)) => {
            type Jumps = BTreeMap<(IpAddr, Transport, u16), super::super::ruleset::Jump>;
            let set = |map: &Jumps| -> BTreeSet<_> {
                map.iter().map(|(key, jump)| (*key, jump.clone())).collect()
            };
            Elements::Services(all(&set(old), &set(change), put).into_iter().collect())
        }
        (old, change) => panic!("{old:?} is of another kind than {change:?}"),
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
