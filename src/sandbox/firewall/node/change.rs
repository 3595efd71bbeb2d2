//! What leads from what a node's kernel has to what it is to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{At, Loaded, NodeRules, Policies};
use crate::sandbox::firewall::{
    addresses::Family,
    delta::Delta,
    engine::{PolicyState, SharedChanges},
    frame::{namespace_chain, tier_chain},
    names::{chain_name, map_name, peers_name, sockets_name, subjects_name},
    pieces::{self, Setting},
    policy::{Direction, Tier},
    ruleset::{Elements, Jump, Ruleset},
    tracked::Changes,
};

impl NodeRules {
    /// What leads from what the kernel has to what it is to have.
    pub(in crate::sandbox::firewall) fn delta(
        &mut self,
        setting: &Setting,
        policies: &Policies,
        shared: &BTreeMap<At, SharedChanges>,
        base: Option<Ruleset>,
    ) -> Delta {
        let mut delta = Delta::default();
        let mut touched = std::mem::take(&mut self.touched);
        touched.extend(shared.keys().filter(|at| self.loaded.contains_key(*at)).cloned());
        // The chains of namespaces in which policies have come or gone, and of tiers.
        let mut lists = BTreeSet::new();
        for at in touched {
            let state = policies.get(&at.0).filter(|state| state.shared.contains_key(&at.1));
            let has_subjects =
                self.local.get(&at).is_some_and(|local| !local.subjects.now().is_empty());
            let wanted = state.filter(|_| has_subjects);
            let loaded = self.loaded.get(&at).cloned();
            match (wanted, loaded) {
                (None, None) => {}
                (Some(state), Some(loaded)) if loaded.version == state.version => {
                    self.alter(&at, setting, shared.get(&at), &mut delta);
                }
                (Some(state), Some(loaded)) => {
                    delta.old_sets.extend(loaded.sets);
                    self.rewrite(&at, setting, state, &mut delta);
                    delta.replace(pieces::policy_chain(&state.policy, at.1, setting));
                    // Its priority may be another.
                    if state.policy.rank.is_some() {
                        lists.insert((at.1, String::new()));
                    }
                }
                (Some(state), None) => {
                    delta.new_sets.extend(self.subject_sets(&at, setting));
                    self.rewrite(&at, setting, state, &mut delta);
                    delta.make(pieces::policy_chain(&state.policy, at.1, setting));
                    lists.insert((at.1, at.0.0.clone()));
                }
                (None, Some(loaded)) => {
                    let chain = chain_name(at.1, &at.0);
                    let subjects = setting.families.iter();
                    delta.old_sets.extend(subjects.map(|one| subjects_name(&chain, *one)));
                    delta.old_sets.extend(loaded.sets);
                    delta.unmake(&chain);
                    lists.insert((at.1, at.0.0.clone()));
                    self.loaded.remove(&at);
                }
            }
            if let Some(local) = self.local.get_mut(&at) {
                local.take();
            }
        }
        self.forget_empty();
        for (direction, namespace) in lists {
            if namespace.is_empty() {
                for tier in Tier::BOTH {
                    let own = self.tier(direction, tier, policies).into_iter();
                    delta.replace(tier_chain(direction, tier, own, setting));
                }
            } else {
                self.list(direction, &namespace, setting, &mut delta);
            }
        }
        self.lead(setting, &mut delta);
        if let Some(base) = base {
            delta.between(&self.base, &base);
            self.base = base;
        }
        delta
    }

    /// Makes the sets that follow from a policy's text, which is new; whom it is about may
    /// have changed as well.
    fn rewrite(&mut self, at: &At, setting: &Setting, state: &PolicyState, delta: &mut Delta) {
        let sets = self.sets(at, setting, state);
        let names = sets.iter().map(|set| set.name.clone()).collect();
        delta.new_sets.extend(sets);
        let loaded = Loaded { version: state.version, sets: names };
        if self.loaded.insert(at.clone(), loaded).is_some() {
            self.alter_subjects(at, setting, delta);
        }
    }

    /// Changes the elements of a policy's subjects.
    fn alter_subjects(&mut self, at: &At, setting: &Setting, delta: &mut Delta) {
        let Some(local) = self.local.get_mut(at) else { return };
        let subjects = local.subjects.take();
        let chain = chain_name(at.1, &at.0);
        for &family in &setting.families {
            addresses(delta, subjects_name(&chain, family), family, &subjects);
        }
    }

    /// Changes the elements of a policy's sets.
    fn alter(
        &mut self,
        at: &At,
        setting: &Setting,
        shared: Option<&SharedChanges>,
        delta: &mut Delta,
    ) {
        self.alter_subjects(at, setting, delta);
        let Some(local) = self.local.get_mut(at) else { return };
        let (_, own) = local.take();
        let chain = chain_name(at.1, &at.0);
        for &family in &setting.families {
            for (followed, changes) in shared.iter().flat_map(|shared| &shared.peers) {
                addresses(delta, peers_name(&chain, *followed, family), family, changes);
            }
            let places = shared.iter().flat_map(|shared| &shared.sockets).chain(&own);
            for (place, changes) in places {
                sockets(delta, sockets_name(&chain, *place, family), family, changes);
            }
        }
    }

    /// Brings the chain of a namespace up to date.
    fn list(
        &mut self,
        direction: Direction,
        namespace: &str,
        setting: &Setting,
        delta: &mut Delta,
    ) {
        let mut policies = self.policies_of(direction, namespace).peekable();
        let is_empty = policies.peek().is_none();
        let chain = namespace_chain(direction, namespace, policies, setting);
        let loaded = self.loaded_namespaces.entry(direction).or_default();
        match (loaded.contains(namespace), !is_empty) {
            (false, true) => {
                loaded.insert(namespace.to_owned());
                delta.make(chain);
            }
            (true, true) => delta.replace(chain),
            (true, false) => {
                loaded.remove(namespace);
                delta.unmake(&chain.name);
            }
            (false, false) => {}
        }
    }

    /// Brings the maps up to date.
    fn lead(&mut self, setting: &Setting, delta: &mut Delta) {
        for (direction, map) in &mut self.maps {
            let changes = map.take();
            for &family in &setting.families {
                let name = map_name(*direction, family);
                let of = |list: &[(IpAddr, Jump)]| {
                    pieces::jumps(list.iter().map(|(address, jump)| (address, jump)), family)
                };
                delta.change(&name, family, of(&changes.removed), of(&changes.added));
            }
        }
    }
}

fn addresses(delta: &mut Delta, name: String, family: Family, changes: &Changes<IpAddr, ()>) {
    let of = |list: &[(IpAddr, ())]| -> Elements {
        pieces::addresses(list.iter().map(|(address, ())| address), family)
    };
    delta.change(&name, family, of(&changes.removed), of(&changes.added));
}

fn sockets(delta: &mut Delta, name: String, family: Family, changes: &Changes<(IpAddr, u16), ()>) {
    let of = |list: &[((IpAddr, u16), ())]| -> Elements {
        pieces::sockets(list.iter().map(|(socket, ())| socket), family)
    };
    delta.change(&name, family, of(&changes.removed), of(&changes.added));
}
