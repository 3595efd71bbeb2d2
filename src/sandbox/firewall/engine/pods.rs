//! Pods and namespaces come, change and go.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Engine, Pod};
use crate::{
    model::Labels,
    sandbox::firewall::{base, policy::Direction, snapshot::PodEntry},
};

impl Engine {
    /// A namespace is new or has other labels; none when it has gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        if self.around.namespaces.get(name) == labels.as_ref() {
            return;
        }
        let after = labels.clone().unwrap_or_default();
        let before = match labels {
            Some(labels) => self.around.namespaces.insert(name.to_owned(), labels),
            None => self.around.namespaces.remove(name),
        };
        let before = before.unwrap_or_default();
        let residents = self.around.residents.iter();
        let inside: Vec<(IpAddr, Pod)> = residents
            .filter(|(_, pod)| pod.entry.namespace == name)
            .map(|(&address, pod)| (address, pod.clone()))
            .collect();
        let pods: Vec<(IpAddr, &PodEntry)> =
            inside.iter().map(|(address, pod)| (*address, &*pod.entry)).collect();
        self.register.relabel((&before, &after), &self.around.namespaces, &pods);
        let first = (String::new(), String::new());
        let of_cluster = self.policies.range(first..).take_while(|(key, _)| key.0.is_empty());
        for (key, state) in of_cluster {
            for (address, pod) in inside.iter().filter(|(_, pod)| !pod.open) {
                let Some(node) = self.nodes.get_mut(&pod.entry.node) else { continue };
                let selects = state.policy.selects(&pod.entry, &self.around.namespaces);
                for &direction in state.followed.keys() {
                    if selects {
                        node.subject(&state.policy, direction, *address, &pod.entry);
                    } else {
                        node.release(key, direction, *address);
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
            Some(new) => self.around.residents.insert(address, new.clone()),
            None => self.around.residents.remove(&address),
        };
        let node = |pod: &Option<Pod>| pod.as_ref().map(|pod| pod.entry.node.clone());
        if node(&old) != node(&new) {
            self.base_touched |= base::asks_for_pods(&self.setting);
        }
        if let Some(old) = &old
            && let Some(node) = self.nodes.get_mut(&old.entry.node)
        {
            node.evict(address, &old.entry);
        }
        let pod = new.as_ref().map(|pod| &*pod.entry);
        self.register.meet(&self.around.namespaces, address, pod);
        if let Some(new) = new {
            self.place(address, &new);
        }
    }

    /// Puts a pod among the subjects of all policies that are about it.
    pub(super) fn place(&mut self, address: IpAddr, pod: &Pod) {
        let Some(node) = self.nodes.get_mut(&pod.entry.node) else { return };
        node.evict(address, &pod.entry);
        for direction in Direction::BOTH {
            for namespace in ["", &pod.entry.namespace] {
                let first = (namespace.to_owned(), String::new());
                let own = self.policies.range(first..).take_while(|(key, _)| key.0 == namespace);
                let about = own.map(|(_, state)| state).filter(|state| {
                    !pod.open
                        && state.followed.contains_key(&direction)
                        && state.policy.selects(&pod.entry, &self.around.namespaces)
                });
                let only_first = self.setting.switches.first_policy_only && !namespace.is_empty();
                for state in about.take(if only_first { 1 } else { usize::MAX }) {
                    node.subject(&state.policy, direction, address, &pod.entry);
                }
            }
            node.admit(direction, address, &pod.entry, self.setting.log);
        }
    }
}
