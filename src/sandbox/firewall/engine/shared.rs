//! The sets that rules share: the same on all nodes, and followed address by address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::Surroundings;
use crate::{
    model::Labels,
    sandbox::firewall::{
        addresses::Family,
        delta::Delta,
        pieces,
        policy::{Among, Ask, Followed, named},
        ruleset::Elements,
        snapshot::PodEntry,
        tracked::{Changes, Tracked},
    },
};

/// All sets that rules share.
#[derive(Debug, Default)]
pub(in crate::sandbox::firewall) struct Register {
    sets: BTreeMap<Followed, Shared>,
    /// Those that may have changed, or that nobody may need any more.
    touched: BTreeSet<Followed>,
}

/// A set that rules share.
#[derive(Debug)]
pub(in crate::sandbox::firewall) struct Shared {
    ask: Ask,
    members: Members,
    /// How many directions of policies ask for it.
    users: usize,
}

#[derive(Debug)]
enum Members {
    Addresses(Tracked<IpAddr>),
    Sockets(Tracked<(IpAddr, u16)>),
}

/// What has changed in a set.
#[derive(Debug)]
pub(in crate::sandbox::firewall) enum SharedChanges {
    Addresses(Changes<IpAddr, ()>),
    Sockets(Changes<(IpAddr, u16), ()>),
}

impl Register {
    /// Somebody asks: the set is there from now on.
    pub(super) fn enlist(&mut self, followed: Followed, ask: Ask, around: &Surroundings) {
        let set = self.sets.entry(followed).or_insert_with(|| Shared::of(ask, around));
        set.users += 1;
    }

    /// Somebody asks no longer. The set stays until the next changes are taken, for it may be
    /// asked for again before nodes have heard.
    pub(super) fn discharge(&mut self, followed: &Followed) {
        if let Some(set) = self.sets.get_mut(followed) {
            set.users = set.users.saturating_sub(1);
            self.touched.insert(followed.clone());
        }
    }

    /// A pod is at an address, or none is; all sets learn of it.
    pub(super) fn meet(
        &mut self,
        namespaces: &BTreeMap<String, Labels>,
        address: IpAddr,
        pod: Option<&PodEntry>,
    ) {
        for (followed, set) in &mut self.sets {
            if set.meet(namespaces, address, pod) {
                self.touched.insert(followed.clone());
            }
        }
    }

    /// Pods are in a namespace that has other labels now.
    pub(super) fn relabel(
        &mut self,
        (before, after): (&Labels, &Labels),
        namespaces: &BTreeMap<String, Labels>,
        pods: &[(IpAddr, &PodEntry)],
    ) {
        for (followed, set) in &mut self.sets {
            if !set.ask.tells_apart(before, after) {
                continue;
            }
            for (address, pod) in pods {
                if set.meet(namespaces, *address, Some(pod)) {
                    self.touched.insert(followed.clone());
                }
            }
        }
    }

    /// Lets every set find its nodes and hosts anew; few ask for any.
    pub(super) fn look_around(&mut self, around: &Surroundings) {
        for (followed, set) in &mut self.sets {
            if set.look_around(around) {
                self.touched.insert(followed.clone());
            }
        }
    }

    /// What has changed since the last time.
    pub(super) fn take(&mut self) -> BTreeMap<Followed, SharedChanges> {
        let mut changes = BTreeMap::new();
        for followed in std::mem::take(&mut self.touched) {
            let Some(set) = self.sets.get_mut(&followed) else { continue };
            if set.users == 0 {
                self.sets.remove(&followed);
                continue;
            }
            changes.insert(followed, set.members.take());
        }
        changes
    }

    /// The elements of a family that a set has.
    pub(in crate::sandbox::firewall) fn elements(
        &self,
        followed: &Followed,
        family: Family,
    ) -> Elements {
        match self.sets.get(followed).map(|set| &set.members) {
            Some(Members::Addresses(all)) => pieces::addresses(all.now().keys(), family),
            Some(Members::Sockets(all)) => pieces::sockets(all.now().keys(), family),
            None => Elements::empty(followed.among),
        }
    }
}

impl SharedChanges {
    /// Has them made to a node's set.
    pub(in crate::sandbox::firewall) fn write(
        &self,
        delta: &mut Delta,
        name: &str,
        family: Family,
    ) {
        match self {
            Self::Addresses(changes) => delta.addresses(name, family, changes),
            Self::Sockets(changes) => delta.sockets(name, family, changes),
        }
    }
}

impl Shared {
    fn of(ask: Ask, around: &Surroundings) -> Self {
        let members = match ask.among {
            Among::Ports => Members::Sockets(Tracked::new()),
            Among::Pods | Among::Nodes | Among::Hosts | Among::Subjects => {
                Members::Addresses(Tracked::new())
            }
        };
        let mut set = Self { ask, members, users: 0 };
        for (&address, pod) in &around.residents {
            set.meet(&around.namespaces, address, Some(&*pod.entry));
        }
        set.look_around(around);
        // Nodes that come to use it take all of it.
        set.members.take();
        set
    }

    /// Looks which nodes and hosts it holds. Says whether that changed.
    fn look_around(&mut self, around: &Surroundings) -> bool {
        let Members::Addresses(known) = &mut self.members else { return false };
        let Some(peers) = &self.ask.peers else { return false };
        let chosen: BTreeSet<IpAddr> = match self.ask.among {
            Among::Pods | Among::Ports | Among::Subjects => return false,
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
        let mut changed = false;
        let gone: Vec<IpAddr> =
            known.now().keys().filter(|old| !chosen.contains(old)).copied().collect();
        for address in gone {
            changed |= known.set(address, None);
        }
        for address in chosen {
            changed |= known.set(address, Some(()));
        }
        changed
    }

    /// Looks whether it holds the pod at an address. Says whether that changed.
    fn meet(
        &mut self,
        namespaces: &BTreeMap<String, Labels>,
        address: IpAddr,
        pod: Option<&PodEntry>,
    ) -> bool {
        let chosen = || pod.is_some_and(|pod| self.ask.chooses(pod, namespaces));
        match &mut self.members {
            Members::Addresses(peers) => {
                self.ask.among == Among::Pods && peers.set(address, chosen().then_some(()))
            }
            Members::Sockets(sockets) => {
                let Some((transport, name)) = &self.ask.port else { return false };
                // A block takes the named ports of the pods inside: this CNI's choice; the
                // API leaves it open.
                let reached = match &self.ask.peers {
                    None => true,
                    Some(peers) => chosen() || peers.blocks.contains(address),
                };
                let numbers: BTreeSet<u16> = pod
                    .filter(|_| reached)
                    .map(|pod| named(pod, name, *transport).collect())
                    .unwrap_or_default();
                settle(sockets, address, &numbers)
            }
        }
    }
}

/// Makes these the ports of an address. Says whether that changed anything.
fn settle(sockets: &mut Tracked<(IpAddr, u16)>, address: IpAddr, numbers: &BTreeSet<u16>) -> bool {
    let old = sockets.now().range((address, 0)..=(address, u16::MAX));
    let old: Vec<u16> = old.map(|((_, number), ())| *number).collect();
    let mut changed = false;
    for number in old.into_iter().filter(|number| !numbers.contains(number)) {
        changed |= sockets.set((address, number), None);
    }
    for number in numbers {
        changed |= sockets.set((address, *number), Some(()));
    }
    changed
}

impl Members {
    fn take(&mut self) -> SharedChanges {
        match self {
            Self::Addresses(all) => SharedChanges::Addresses(all.take()),
            Self::Sockets(all) => SharedChanges::Sockets(all.take()),
        }
    }
}
