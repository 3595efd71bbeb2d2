//! The peers of a policy's rules: the same on all nodes, and followed address by address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::Surroundings;
use crate::{
    model::Labels,
    sandbox::firewall::{
        pieces::{self, Followed, Place},
        policy::{Among, Direction, Policy, PolicyRule, Port, named},
        snapshot::PodEntry,
        tracked::{Changes, Tracked},
    },
};

/// The peers of a policy's rules.
#[derive(Debug, Default)]
pub(in crate::sandbox::firewall) struct Shared {
    pub peers: BTreeMap<Followed, Tracked<IpAddr>>,
    /// Named ports of peers, for egress.
    pub sockets: BTreeMap<Place, Tracked<(IpAddr, u16)>>,
}

/// What has changed in [`Shared`].
#[derive(Debug, Default)]
pub(in crate::sandbox::firewall) struct SharedChanges {
    pub peers: BTreeMap<Followed, Changes<IpAddr, ()>>,
    pub sockets: BTreeMap<Place, Changes<(IpAddr, u16), ()>>,
}

impl SharedChanges {
    pub(super) fn is_empty(&self) -> bool {
        fn none<K, V>(changes: &Changes<K, V>) -> bool {
            changes.removed.is_empty() && changes.added.is_empty()
        }
        self.peers.values().all(none) && self.sockets.values().all(none)
    }
}

/// The policy's namespace, and all namespaces' labels.
pub(super) type Scope<'a> = (&'a str, &'a BTreeMap<String, Labels>);

impl Shared {
    pub(super) fn of(policy: &Policy, direction: Direction, around: &Surroundings) -> Self {
        let mut shared = Self::default();
        let rules = || policy.rules(direction).unwrap_or_default().iter().enumerate();
        for (index, rule) in rules() {
            shared.peers.extend(rule.follows().map(|among| ((index, among), Tracked::new())));
        }
        if direction == Direction::Egress {
            for (place, ..) in pieces::named_ports(policy, direction) {
                shared.sockets.insert(place, Tracked::new());
            }
        }
        for (&address, pod) in &around.residents {
            for rule in rules() {
                let scope = (policy.key.0.as_str(), &around.namespaces);
                shared.meet(scope, rule, address, Some(&*pod.entry));
            }
        }
        for rule in rules() {
            shared.look_around(rule, around);
        }
        shared
    }

    /// Looks which nodes and hosts are peers of a rule. Says whether that changed.
    pub(super) fn look_around(
        &mut self,
        (index, rule): (usize, &PolicyRule),
        around: &Surroundings,
    ) -> bool {
        let Some(peers) = &rule.peers else { return false };
        let mut changed = false;
        for among in [Among::Nodes, Among::Hosts] {
            let Some(known) = self.peers.get_mut(&(index, among)) else { continue };
            let chosen: BTreeSet<IpAddr> = match among {
                Among::Pods => continue,
                Among::Nodes => {
                    let nodes = around.nodes.values();
                    let chosen = nodes.filter(|(labels, _)| peers.chooses_node(labels));
                    chosen.flat_map(|(_, addresses)| addresses).copied().collect()
                }
                Among::Hosts => {
                    let hosts = around.hosts.values();
                    let chosen =
                        hosts.filter(|(names, _)| names.iter().any(|one| peers.chooses_host(one)));
                    chosen.flat_map(|(_, addresses)| addresses).copied().collect()
                }
            };
            let gone: Vec<IpAddr> =
                known.now().keys().filter(|old| !chosen.contains(old)).copied().collect();
            for address in gone {
                changed |= known.set(address, None);
            }
            for address in chosen {
                changed |= known.set(address, Some(()));
            }
        }
        changed
    }

    /// Looks whether the pod at an address is a peer of a rule. Says whether that changed.
    pub(super) fn meet(
        &mut self,
        (own, namespaces): Scope<'_>,
        (index, rule): (usize, &PolicyRule),
        address: IpAddr,
        pod: Option<&PodEntry>,
    ) -> bool {
        let chosen = pod.is_some_and(|pod| rule.chooses(own, pod, namespaces));
        let mut changed = false;
        if let Some(peers) = self.peers.get_mut(&(index, Among::Pods)) {
            changed |= peers.set(address, chosen.then_some(()));
        }
        // A block takes the named ports of the pods inside: this CNI's choice; the API
        // leaves it open.
        let reached = match &rule.peers {
            None => true,
            Some(peers) => chosen || peers.blocks.contains(address),
        };
        for (port, entry) in rule.ports.iter().flatten().enumerate() {
            let Some(sockets) = self.sockets.get_mut(&(index, port)) else { continue };
            let Port::Named(transport, name) = entry else { continue };
            let numbers: BTreeSet<u16> = pod
                .filter(|_| reached)
                .map(|pod| named(pod, name, *transport).collect())
                .unwrap_or_default();
            let old: Vec<u16> = sockets
                .now()
                .range((address, 0)..=(address, u16::MAX))
                .map(|((_, number), ())| *number)
                .collect();
            for number in old.into_iter().filter(|number| !numbers.contains(number)) {
                changed |= sockets.set((address, number), None);
            }
            for number in numbers {
                changed |= sockets.set((address, number), Some(()));
            }
        }
        changed
    }

    pub(super) fn take(&mut self) -> SharedChanges {
        SharedChanges {
            peers: self.peers.iter_mut().map(|(key, set)| (*key, set.take())).collect(),
            sockets: self.sockets.iter_mut().map(|(key, set)| (*key, set.take())).collect(),
        }
    }
}
