//! What leads from what a node's kernel has to what it is to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{At, NodeRules, table::shared_sets};
use crate::sandbox::firewall::{
    delta::Delta,
    engine::{Known, PolicyState, SharedChanges},
    frame::{namespace_chain, tier_chain},
    names::{chain_name, followed_name, map_name, sockets_name, subjects_name},
    pieces::{self, Setting},
    policy::{Direction, Followed, Tier},
    ruleset::{Jump, Ruleset},
};

impl NodeRules {
    /// What leads from what the kernel has to what it is to have.
    pub(in crate::sandbox::firewall) fn delta(
        &mut self,
        known: &Known<'_>,
        shared: &BTreeMap<Followed, SharedChanges>,
        base: Option<Ruleset>,
    ) -> Delta {
        let setting = known.setting;
        let mut delta = Delta::default();
        // Of each set of which a user has come or gone, whether the kernel has it.
        let mut had = BTreeMap::new();
        // The chains of namespaces in which policies have come or gone, and of tiers.
        let mut lists = BTreeSet::new();
        for at in std::mem::take(&mut self.touched) {
            let state =
                known.policies.get(&at.0).filter(|state| state.followed.contains_key(&at.1));
            let has_subjects =
                self.local.get(&at).is_some_and(|local| !local.subjects.now().is_empty());
            let wanted = state.filter(|_| has_subjects);
            let loaded = self.loaded.get(&at).cloned();
            match (wanted, loaded) {
                (None, None) => {}
                (Some(state), Some(loaded)) if loaded.version == state.version => {
                    self.alter(&at, setting, &mut delta);
                }
                (Some(state), Some(loaded)) => {
                    delta.old_sets.extend(loaded.sets);
                    self.leave(loaded.followed, &mut had);
                    self.rewrite(&at, setting, state, &mut had, &mut delta);
                    delta.replace(pieces::policy_chain(&state.policy, at.1, setting));
                    // Its priority may be another.
                    if state.policy.rank.is_some() {
                        lists.insert((at.1, String::new()));
                    }
                }
                (Some(state), None) => {
                    delta.new_sets.extend(self.subject_sets(&at, setting));
                    self.rewrite(&at, setting, state, &mut had, &mut delta);
                    delta.make(pieces::policy_chain(&state.policy, at.1, setting));
                    lists.insert((at.1, at.0.0.clone()));
                }
                (None, Some(loaded)) => {
                    let chain = chain_name(at.1, &at.0);
                    let subjects = setting.families.iter();
                    delta.old_sets.extend(subjects.map(|one| subjects_name(&chain, *one)));
                    delta.old_sets.extend(loaded.sets);
                    self.leave(loaded.followed, &mut had);
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
        self.share(known, shared, &had, &mut delta);
        for (direction, namespace) in lists {
            if namespace.is_empty() {
                for tier in Tier::BOTH {
                    let own = self.tier(direction, tier, known).into_iter();
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
    fn rewrite(
        &mut self,
        at: &At,
        setting: &Setting,
        state: &PolicyState,
        had: &mut BTreeMap<Followed, bool>,
        delta: &mut Delta,
    ) {
        delta.new_sets.extend(self.sets(at, setting, state));
        let loads = self.loads(at, setting, state);
        for followed in &loads.followed {
            let users = self.users.entry(followed.clone()).or_default();
            had.entry(followed.clone()).or_insert(*users > 0);
            *users += 1;
        }
        if self.loaded.insert(at.clone(), loads).is_some() {
            self.alter_subjects(at, setting, delta);
        }
    }

    /// A policy no longer looks into these sets.
    fn leave(&mut self, sets: BTreeSet<Followed>, had: &mut BTreeMap<Followed, bool>) {
        for followed in sets {
            let users = self.users.entry(followed.clone()).or_default();
            had.entry(followed).or_insert(*users > 0);
            *users = users.saturating_sub(1);
        }
    }

    /// Makes the shared sets that are needed first here, deletes those that nobody needs here
    /// any more, and changes the others.
    fn share(
        &mut self,
        known: &Known<'_>,
        changes: &BTreeMap<Followed, SharedChanges>,
        had: &BTreeMap<Followed, bool>,
        delta: &mut Delta,
    ) {
        self.users.retain(|_, users| *users > 0);
        for (followed, had) in had {
            let families = known.setting.families.iter();
            match (had, self.users.contains_key(followed)) {
                (false, true) => delta.new_sets.extend(shared_sets(followed, known)),
                (true, false) => {
                    delta.old_sets.extend(families.map(|&one| followed_name(followed, one)));
                }
                (true, true) | (false, false) => {}
            }
        }
        for (followed, changes) in changes {
            let is_new = had.get(followed) == Some(&false);
            if is_new || !self.users.contains_key(followed) {
                continue;
            }
            for &family in &known.setting.families {
                changes.write(delta, &followed_name(followed, family), family);
            }
        }
    }

    /// Changes the elements of a policy's subjects.
    fn alter_subjects(&mut self, at: &At, setting: &Setting, delta: &mut Delta) {
        let Some(local) = self.local.get_mut(at) else { return };
        let subjects = local.subjects.take();
        let chain = chain_name(at.1, &at.0);
        for &family in &setting.families {
            delta.addresses(&subjects_name(&chain, family), family, &subjects);
        }
    }

    /// Changes the elements of a policy's own sets.
    fn alter(&mut self, at: &At, setting: &Setting, delta: &mut Delta) {
        self.alter_subjects(at, setting, delta);
        let Some(local) = self.local.get_mut(at) else { return };
        let (_, own) = local.take();
        let chain = chain_name(at.1, &at.0);
        for &family in &setting.families {
            for (place, changes) in &own {
                delta.sockets(&sockets_name(&chain, *place, family), family, changes);
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
