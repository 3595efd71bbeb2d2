//! The rules of all nodes, kept in step with the cluster event by event.
//!
//! ```text
//!   event ── which addresses, which policies ── elements of sets ─┐
//!                                                                 ├─ a delta for each node
//!   policy ── chain and sets, on the nodes of its subjects ───────┘   that it touches
//! ```
//!
//! An event is worked into sets that remember what changed; [`Engine::take`] then makes the
//! changes of each node into one transaction. That the outcome is the same as if all had
//! been compiled from scratch is a test.

mod around;
mod pods;
mod policies;
mod shared;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::api::networking::v1::NetworkPolicy;

pub(super) use self::shared::{Register, SharedChanges};
use super::{
    addresses::Family,
    delta::Delta,
    node::NodeRules,
    pieces::Setting,
    policy::{Direction, Followed, Policy, PolicyKey, cluster::ClusterNetworkPolicy},
    ruleset::Ruleset,
    snapshot::{PodEntry, Snapshot},
    switches::Switches,
};
use crate::{model::Labels, sandbox::fault::NetworkFault};

/// What a node has to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The whole table.
    Whole(Ruleset),
    /// What has changed.
    Delta(Delta),
}

/// The state of the cluster as the CNI knows it, and what follows from it.
#[derive(Debug)]
pub struct Engine {
    setting: Setting,
    around: Surroundings,
    pods: BTreeMap<PodKey, Pod>,
    /// Who says that an address is its own, in the order in which they came.
    claims: BTreeMap<IpAddr, BTreeMap<u64, PodKey>>,
    policies: BTreeMap<PolicyKey, PolicyState>,
    register: Register,
    /// Of it only the Services, and the ground that they stand on.
    services: Snapshot,
    nodes: BTreeMap<String, NodeRules>,
    orders: u64,
    versions: u64,
    base_touched: bool,
}

/// What selectors choose from.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    namespaces: BTreeMap<String, Labels>,
    /// The pod that counts at an address: the last that came.
    residents: BTreeMap<IpAddr, Pod>,
    /// Nodes with their labels and addresses.
    nodes: BTreeMap<String, (Labels, Vec<IpAddr>)>,
    /// Hosts outside the cluster with their names, in lower case, and addresses.
    hosts: BTreeMap<String, (Vec<String>, Vec<IpAddr>)>,
}

pub(super) type PodKey = (String, String);

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub entry: Arc<PodEntry>,
    order: u64,
    /// Not isolated yet, by a fault.
    open: bool,
}

#[derive(Debug)]
pub(super) struct PolicyState {
    raw: Raw,
    pub policy: Policy,
    /// Differs whenever the policy's text, or how it is read, does.
    pub version: u64,
    /// The shared sets that its rules look in, for each direction in which it has a say.
    pub followed: BTreeMap<Direction, BTreeSet<Followed>>,
}

/// What all nodes' rules are made of.
pub(super) struct Known<'a> {
    pub setting: &'a Setting,
    pub policies: &'a BTreeMap<PolicyKey, PolicyState>,
    pub register: &'a Register,
}

impl Known<'_> {
    /// The set of a policy's subjects in a direction.
    pub fn subjects(&self, (key, direction): (&PolicyKey, Direction)) -> Option<Followed> {
        let state = self.policies.get(key)?;
        // With that fault it isn't only a policy's own text that decides.
        Some(state.policy.subjects(direction, self.setting.switches.first_policy_only))
    }
}

/// A policy as it came.
#[derive(Clone, Debug, PartialEq)]
enum Raw {
    Network(NetworkPolicy),
    Cluster(ClusterNetworkPolicy),
}

impl Engine {
    /// A CNI that knows its nodes and nothing else. Where the kernel can't log, nothing is
    /// logged.
    pub fn new<'a>(nodes: impl IntoIterator<Item = &'a str>, log: bool) -> Self {
        let nodes = nodes.into_iter().map(|name| (name.to_owned(), NodeRules::new())).collect();
        let setting = Setting { switches: Switches::default(), families: vec![Family::V4], log };
        Self {
            setting,
            around: Surroundings::default(),
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            policies: BTreeMap::new(),
            register: Register::default(),
            services: Snapshot::default(),
            nodes,
            orders: 0,
            versions: 0,
            base_touched: true,
        }
    }

    /// Changes which faults are on.
    pub fn set_faults(&mut self, faults: &[NetworkFault]) {
        let switches = Switches::of(faults);
        if switches == self.setting.switches {
            return;
        }
        self.setting.switches = switches;
        // All is read anew, with other eyes.
        for policy in std::mem::take(&mut self.policies).into_values() {
            self.withdraw(&policy.policy.key);
            self.discharge(&policy);
            self.put(policy.raw);
        }
        self.reload_all();
    }

    /// Makes all nodes load their whole tables.
    pub fn reload_all(&mut self) {
        self.base_touched = true;
        for node in self.nodes.values_mut() {
            node.reload();
        }
    }

    /// Makes a node that refused a change load its whole table.
    pub fn reload(&mut self, node: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.reload();
        }
    }

    /// What each node has to load to be up to date, of those that have to.
    pub fn take(&mut self) -> BTreeMap<String, Update> {
        let families = self.families();
        if families != self.setting.families {
            self.setting.families = families;
            self.reload_all();
        }
        let base_touched = std::mem::take(&mut self.base_touched);
        let changes = self.register.take();
        let mut updates = BTreeMap::new();
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            let base = (base_touched || self.nodes.get(&name).is_some_and(NodeRules::is_stale))
                .then(|| self.base(&name));
            let known = Known {
                setting: &self.setting,
                policies: &self.policies,
                register: &self.register,
            };
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if node.is_stale() {
                let base = base.unwrap_or_default();
                let whole = node.whole(&known, base);
                updates.insert(name, Update::Whole(whole));
                continue;
            }
            let delta = node.delta(&known, &changes, base);
            if !delta.is_empty() {
                updates.insert(name, Update::Delta(delta));
            }
        }
        updates
    }

    /// The whole table of a node, as it is after the last changes were taken.
    pub fn ruleset(&self, node: &str) -> Option<Ruleset> {
        let rules = self.nodes.get(node)?;
        let known =
            Known { setting: &self.setting, policies: &self.policies, register: &self.register };
        Some(rules.ruleset(&known, self.base(node)))
    }

    fn families(&self) -> Vec<Family> {
        let in_use = |address: Option<&IpAddr>| address.map(|address| Family::of(*address));
        let first = in_use(self.around.residents.keys().next()).unwrap_or(Family::V4);
        let last = in_use(self.around.residents.keys().next_back()).unwrap_or(first);
        if first == last { vec![first] } else { vec![first, last] }
    }

    fn base(&self, node: &str) -> Ruleset {
        let pods = || {
            let one = |(address, pod): (&IpAddr, &Pod)| (*address, pod.entry.node == node);
            self.around.residents.iter().map(one).collect()
        };
        let input = super::base::Input {
            setting: &self.setting,
            node,
            services: &self.services,
            pods: &pods,
        };
        super::base::compile(&input)
    }

    /// The pod at an address.
    pub(in crate::sandbox) fn resident(&self, address: IpAddr) -> Option<&Arc<PodEntry>> {
        self.around.residents.get(&address).map(|pod| &pod.entry)
    }

    /// The names of the NetworkPolicies that isolate the pod at an address.
    pub(super) fn isolating(&self, address: IpAddr, direction: Direction) -> Vec<PolicyKey> {
        let Some(pod) = self.around.residents.get(&address) else { return Vec::new() };
        let Some(node) = self.nodes.get(&pod.entry.node) else { return Vec::new() };
        node.subject_of(address, direction, &pod.entry.namespace)
    }

    /// The names of the ClusterNetworkPolicies that are about the pod at an address.
    pub(super) fn judging(&self, address: IpAddr, direction: Direction) -> Vec<PolicyKey> {
        let Some(pod) = self.around.residents.get(&address) else { return Vec::new() };
        let Some(node) = self.nodes.get(&pod.entry.node) else { return Vec::new() };
        node.subject_of(address, direction, "")
    }

    /// An engine that knows a whole state.
    pub fn of<'a>(
        snapshot: &Snapshot,
        nodes: impl IntoIterator<Item = &'a str>,
        faults: &[NetworkFault],
        log: bool,
    ) -> Self {
        let mut engine = Self::new(nodes, log);
        engine.set_faults(faults);
        for (name, labels) in &snapshot.namespaces {
            engine.set_namespace(name, Some(labels.clone()));
        }
        for pod in &snapshot.pods {
            engine.set_pod(&pod.namespace, &pod.name, Some(pod.clone()), false);
        }
        for (name, (labels, addresses)) in &snapshot.node_labels {
            engine.set_node(name, Some((labels.clone(), addresses.clone())));
        }
        for (name, (names, addresses)) in &snapshot.hosts {
            engine.set_host(name, Some((names.clone(), addresses.clone())));
        }
        for policy in &snapshot.policies {
            engine.set_policy(policy);
        }
        for policy in &snapshot.cluster_policies {
            engine.set_cluster_policy(policy);
        }
        engine.set_services(snapshot.services.clone());
        engine.set_host_ports(snapshot.host_ports.clone());
        engine.set_ground(snapshot.nodes.clone(), snapshot.ranges.clone());
        engine
    }
}

/// The whole table of one node. The same input makes the same rules.
pub fn compile(snapshot: &Snapshot, node: &str, faults: &[NetworkFault]) -> Ruleset {
    let mut engine = Engine::of(snapshot, [node], faults, false);
    match engine.take().remove(node) {
        Some(Update::Whole(rules)) => rules,
        _ => Ruleset::default(),
    }
}

#[cfg(test)]
mod kernel;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
