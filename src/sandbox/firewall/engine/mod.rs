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

mod shared;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use self::shared::Shared;
pub(super) use self::shared::SharedChanges;
use super::{
    addresses::Family,
    delta::Delta,
    node::NodeRules,
    pieces::Setting,
    policy::{Direction, Policy, PolicyKey},
    ruleset::Ruleset,
    snapshot::{NodeEntry, PodEntry, ServiceEntry, Snapshot},
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
    namespaces: BTreeMap<String, Labels>,
    pods: BTreeMap<PodKey, Pod>,
    /// Who says that an address is its own, in the order in which they came.
    claims: BTreeMap<IpAddr, BTreeMap<u64, PodKey>>,
    /// The pod that counts at an address: the last that came.
    residents: BTreeMap<IpAddr, Pod>,
    policies: BTreeMap<PolicyKey, PolicyState>,
    /// Of it only the Services, and the ground that they stand on.
    services: Snapshot,
    nodes: BTreeMap<String, NodeRules>,
    orders: u64,
    versions: u64,
    base_touched: bool,
    touched: BTreeSet<PolicyKey>,
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
    raw: NetworkPolicy,
    pub policy: Policy,
    /// Differs whenever the policy's text, or how it is read, does.
    pub version: u64,
    /// What is the same on all nodes, for each direction in which the policy isolates.
    pub shared: BTreeMap<Direction, Shared>,
}

impl Engine {
    /// A CNI that knows its nodes and nothing else. Where the kernel can't log, nothing is
    /// logged.
    pub fn new<'a>(nodes: impl IntoIterator<Item = &'a str>, log: bool) -> Self {
        let nodes = nodes.into_iter().map(|name| (name.to_owned(), NodeRules::new())).collect();
        let setting = Setting { switches: Switches::default(), families: vec![Family::V4], log };
        Self {
            setting,
            namespaces: BTreeMap::new(),
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            residents: BTreeMap::new(),
            policies: BTreeMap::new(),
            services: Snapshot::default(),
            nodes,
            orders: 0,
            versions: 0,
            base_touched: true,
            touched: BTreeSet::new(),
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
            self.set_policy(&policy.raw);
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

    /// A namespace is new or has other labels; none when it has gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        if self.namespaces.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => _ = self.namespaces.insert(name.to_owned(), labels),
            None => _ = self.namespaces.remove(name),
        }
        let inside: Vec<(IpAddr, Arc<PodEntry>)> = self
            .residents
            .iter()
            .filter(|(_, pod)| pod.entry.namespace == name)
            .map(|(&address, pod)| (address, Arc::clone(&pod.entry)))
            .collect();
        for (key, state) in &mut self.policies {
            for (direction, shared) in &mut state.shared {
                let rules = state.policy.rules(*direction).unwrap_or_default();
                for (index, rule) in rules.iter().enumerate() {
                    if !rule.asks_for_namespaces() {
                        continue;
                    }
                    for (address, pod) in &inside {
                        let scope = (key.0.as_str(), &self.namespaces);
                        if shared.meet(scope, (index, rule), *address, Some(pod)) {
                            self.touched.insert(key.clone());
                        }
                    }
                }
            }
        }
    }

    /// A pod is new or is different; none when it has gone or ended. An open pod is not
    /// isolated, whatever the policies say.
    pub fn set_pod(&mut self, namespace: &str, name: &str, entry: Option<PodEntry>, open: bool) {
        let key = (namespace.to_owned(), name.to_owned());
        // Pods of the host network are no more than their node's address.
        let entry = entry.filter(|entry| !entry.host_network);
        let old = self.pods.get(&key).cloned();
        if let (Some(old), Some(new)) = (&old, &entry)
            && *old.entry == *new
            && old.open == open
        {
            return;
        }
        let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
        if let Some(old) = &old {
            for address in &old.entry.addresses {
                addresses.insert(*address);
                if let Some(claims) = self.claims.get_mut(address) {
                    claims.remove(&old.order);
                }
            }
        }
        match entry {
            Some(entry) => {
                // Who moves to another address comes there as the last.
                let stays = old.as_ref().filter(|old| old.entry.addresses == entry.addresses);
                let order = stays.map_or_else(
                    || {
                        self.orders += 1;
                        self.orders
                    },
                    |old| old.order,
                );
                for address in &entry.addresses {
                    addresses.insert(*address);
                    self.claims.entry(*address).or_default().insert(order, key.clone());
                }
                self.pods.insert(key, Pod { entry: Arc::new(entry), order, open });
            }
            None => _ = self.pods.remove(&key),
        }
        for address in addresses {
            self.settle(address);
        }
    }

    /// Lets the pod count that came last to an address.
    fn settle(&mut self, address: IpAddr) {
        let last = self.claims.get(&address).and_then(|claims| claims.last_key_value());
        let new = last.and_then(|(_, key)| self.pods.get(key)).cloned();
        if new.is_none() {
            self.claims.remove(&address);
        }
        let old = match &new {
            Some(new) => self.residents.insert(address, new.clone()),
            None => self.residents.remove(&address),
        };
        let node = |pod: &Option<Pod>| pod.as_ref().map(|pod| pod.entry.node.clone());
        if node(&old) != node(&new) {
            self.base_touched |= super::base::asks_for_pods(&self.setting);
        }
        if let Some(old) = &old
            && let Some(node) = self.nodes.get_mut(&old.entry.node)
        {
            node.evict(address, &old.entry);
        }
        for (key, state) in &mut self.policies {
            for (direction, shared) in &mut state.shared {
                let rules = state.policy.rules(*direction).unwrap_or_default();
                for rule in rules.iter().enumerate() {
                    let scope = (key.0.as_str(), &self.namespaces);
                    if shared.meet(scope, rule, address, new.as_ref().map(|pod| &*pod.entry)) {
                        self.touched.insert(key.clone());
                    }
                }
            }
        }
        if let Some(new) = new {
            self.place(address, &new);
        }
    }

    /// Puts a pod among the subjects of all policies that isolate it.
    fn place(&mut self, address: IpAddr, pod: &Pod) {
        let Some(node) = self.nodes.get_mut(&pod.entry.node) else { return };
        node.evict(address, &pod.entry);
        for direction in Direction::BOTH {
            let first = (pod.entry.namespace.clone(), String::new());
            let own = self.policies.range(first..);
            let own = own.take_while(|(key, _)| key.0 == pod.entry.namespace);
            let isolating = own.map(|(_, state)| state).filter(|state| {
                !pod.open
                    && state.shared.contains_key(&direction)
                    && state.policy.selects(&pod.entry)
            });
            let most = if self.setting.switches.first_policy_only { 1 } else { usize::MAX };
            for state in isolating.take(most) {
                node.subject(&state.policy, direction, address, &pod.entry);
            }
            node.admit(direction, address, &pod.entry, self.setting.log);
        }
    }

    /// A policy is new or different.
    pub fn set_policy(&mut self, raw: &NetworkPolicy) {
        let policy = Policy::read(raw, &self.setting.switches);
        let key = policy.key.clone();
        if self.policies.get(&key).is_some_and(|old| old.raw.spec == raw.spec) {
            return;
        }
        self.versions += 1;
        let mut shared = BTreeMap::new();
        for direction in Direction::BOTH {
            if policy.rules(direction).is_some() {
                let one = Shared::of(&policy, direction, &self.residents, &self.namespaces);
                shared.insert(direction, one);
            }
        }
        let state = PolicyState { raw: raw.clone(), policy, version: self.versions, shared };
        self.withdraw(&key);
        self.policies.insert(key.clone(), state);
        self.touched.insert(key.clone());
        self.place_for(&key);
    }

    /// A policy has gone.
    pub fn remove_policy(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        if self.policies.remove(&key).is_some() {
            self.withdraw(&key);
            self.touched.insert(key.clone());
            if self.setting.switches.first_policy_only {
                self.place_for(&key);
            }
        }
    }

    /// Takes all pods out of a policy's subjects.
    fn withdraw(&mut self, key: &PolicyKey) {
        for node in self.nodes.values_mut() {
            node.withdraw(key, self.setting.log);
        }
    }

    /// Puts pods among the subjects of a policy.
    fn place_for(&mut self, key: &PolicyKey) {
        let inside: Vec<(IpAddr, Pod)> = self
            .residents
            .iter()
            .filter(|(_, pod)| pod.entry.namespace == key.0)
            .map(|(&address, pod)| (address, pod.clone()))
            .collect();
        if self.setting.switches.first_policy_only {
            for (address, pod) in inside {
                self.place(address, &pod);
            }
            return;
        }
        let Some(state) = self.policies.get(key) else { return };
        for (address, pod) in inside {
            if pod.open || !state.policy.selects(&pod.entry) {
                continue;
            }
            let Some(node) = self.nodes.get_mut(&pod.entry.node) else { continue };
            for &direction in state.shared.keys() {
                node.subject(&state.policy, direction, address, &pod.entry);
                node.admit(direction, address, &pod.entry, self.setting.log);
            }
        }
    }

    /// All Services.
    pub fn set_services(&mut self, services: Vec<ServiceEntry>) {
        if self.services.services != services {
            self.services.services = services;
            self.base_touched = true;
        }
    }

    /// Where the nodes are, and the cluster's own ranges.
    pub fn set_ground(&mut self, nodes: BTreeMap<String, NodeEntry>, ranges: Vec<IpNet>) {
        self.services.nodes = nodes;
        self.services.ranges = ranges;
        self.base_touched = true;
    }

    /// What each node has to load to be up to date, of those that have to.
    pub fn take(&mut self) -> BTreeMap<String, Update> {
        let families = self.families();
        if families != self.setting.families {
            self.setting.families = families;
            self.reload_all();
        }
        let base_touched = std::mem::take(&mut self.base_touched);
        let mut changes: BTreeMap<(PolicyKey, Direction), SharedChanges> = BTreeMap::new();
        for key in std::mem::take(&mut self.touched) {
            let Some(state) = self.policies.get_mut(&key) else { continue };
            for (direction, shared) in &mut state.shared {
                let changed = shared.take();
                if !changed.is_empty() {
                    changes.insert((key.clone(), *direction), changed);
                }
            }
        }
        let mut updates = BTreeMap::new();
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            let base = (base_touched || self.nodes.get(&name).is_some_and(NodeRules::is_stale))
                .then(|| self.base(&name));
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if node.is_stale() {
                let base = base.unwrap_or_default();
                let whole = node.whole(&self.setting, &self.policies, base);
                updates.insert(name, Update::Whole(whole));
                continue;
            }
            let delta = node.delta(&self.setting, &self.policies, &changes, base);
            if !delta.is_empty() {
                updates.insert(name, Update::Delta(delta));
            }
        }
        updates
    }

    /// The whole table of a node, as it is after the last changes were taken.
    pub fn ruleset(&self, node: &str) -> Option<Ruleset> {
        let rules = self.nodes.get(node)?;
        Some(rules.ruleset(&self.setting, &self.policies, self.base(node)))
    }

    fn families(&self) -> Vec<Family> {
        let in_use = |address: Option<&IpAddr>| address.map(|address| Family::of(*address));
        let first = in_use(self.residents.keys().next()).unwrap_or(Family::V4);
        let last = in_use(self.residents.keys().next_back()).unwrap_or(first);
        if first == last { vec![first] } else { vec![first, last] }
    }

    fn base(&self, node: &str) -> Ruleset {
        let pods = || {
            let one = |(address, pod): (&IpAddr, &Pod)| (*address, pod.entry.node == node);
            self.residents.iter().map(one).collect()
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
        self.residents.get(&address).map(|pod| &pod.entry)
    }

    /// The names of the policies that isolate the pod at an address.
    pub(super) fn isolating(&self, address: IpAddr, direction: Direction) -> Vec<PolicyKey> {
        let Some(pod) = self.residents.get(&address) else { return Vec::new() };
        let Some(node) = self.nodes.get(&pod.entry.node) else { return Vec::new() };
        node.isolating(address, direction, &pod.entry.namespace)
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
        for policy in &snapshot.policies {
            engine.set_policy(policy);
        }
        engine.set_services(snapshot.services.clone());
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
mod laws;
#[cfg(test)]
mod tests;
