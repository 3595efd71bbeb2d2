//! Policies come, change and go.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{Engine, Pod, PolicyState, Raw};
use crate::sandbox::firewall::policy::{
    Direction, PolicyKey,
    cluster::{self, ClusterNetworkPolicy},
    network,
};

impl Engine {
    /// A NetworkPolicy is new or different.
    pub fn set_policy(&mut self, policy: &NetworkPolicy) {
        self.put(Raw::Network(policy.clone()));
    }

    /// A ClusterNetworkPolicy is new or different.
    pub fn set_cluster_policy(&mut self, policy: &ClusterNetworkPolicy) {
        self.put(Raw::Cluster(policy.clone()));
    }

    pub(super) fn put(&mut self, raw: Raw) {
        let policy = match &raw {
            Raw::Network(policy) => network::read(policy, &self.setting.switches),
            Raw::Cluster(policy) => cluster::read(policy),
        };
        let key = policy.key.clone();
        if self.policies.get(&key).is_some_and(|old| old.raw.says_the_same(&raw)) {
            return;
        }
        self.versions += 1;
        let mut followed = BTreeMap::new();
        for direction in Direction::BOTH {
            if policy.rules(direction).is_none() {
                continue;
            }
            let asks = policy.asks(direction);
            followed.insert(direction, asks.keys().cloned().collect());
            for (one, ask) in asks {
                self.register.enlist(one, ask, &self.around);
            }
        }
        let state = PolicyState { raw, policy, version: self.versions, followed };
        self.withdraw(&key);
        if let Some(old) = self.policies.insert(key.clone(), state) {
            self.discharge(&old);
        }
        self.place_for(&key);
    }

    /// A NetworkPolicy has gone.
    pub fn remove_policy(&mut self, namespace: &str, name: &str) {
        self.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// A ClusterNetworkPolicy has gone.
    pub fn remove_cluster_policy(&mut self, name: &str) {
        self.remove(&(String::new(), name.to_owned()));
    }

    fn remove(&mut self, key: &PolicyKey) {
        if let Some(old) = self.policies.remove(key) {
            self.withdraw(key);
            self.discharge(&old);
            if self.setting.switches.first_policy_only {
                self.place_for(key);
            }
        }
    }

    /// Takes all pods out of a policy's subjects.
    pub(super) fn withdraw(&mut self, key: &PolicyKey) {
        for node in self.nodes.values_mut() {
            node.withdraw(key, self.setting.log);
        }
    }

    /// A policy that has gone looks into no set any more.
    pub(super) fn discharge(&mut self, gone: &PolicyState) {
        for followed in gone.followed.values().flatten() {
            self.register.discharge(followed);
        }
    }

    /// Puts pods among the subjects of a policy.
    fn place_for(&mut self, key: &PolicyKey) {
        let inside: Vec<(IpAddr, Pod)> = self
            .around
            .residents
            .iter()
            .filter(|(_, pod)| key.0.is_empty() || pod.entry.namespace == key.0)
            .map(|(&address, pod)| (address, pod.clone()))
            .collect();
        if self.setting.switches.first_policy_only && !key.0.is_empty() {
            for (address, pod) in inside {
                self.place(address, &pod);
            }
            return;
        }
        let Some(state) = self.policies.get(key) else { return };
        for (address, pod) in inside {
            if pod.open || !state.policy.selects(&pod.entry, &self.around.namespaces) {
                continue;
            }
            let Some(node) = self.nodes.get_mut(&pod.entry.node) else { continue };
            for &direction in state.followed.keys() {
                node.subject(&state.policy, direction, address, &pod.entry);
                node.admit(direction, address, &pod.entry, self.setting.log);
            }
        }
    }
}

impl Raw {
    /// Whether the same rules follow from both.
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network(one), Self::Network(other)) => one.spec == other.spec,
            (Self::Cluster(one), Self::Cluster(other)) => one.spec == other.spec,
            _ => false,
        }
    }
}
