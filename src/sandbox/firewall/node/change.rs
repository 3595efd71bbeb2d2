//! What leads from what a node's kernel has to what it is to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    At, Loaded, NodeRules,
    table::{shared_sets, subject_sets},
};
use crate::sandbox::firewall::{
    delta::Delta,
    engine::{Known, PolicyState, SharedChanges},
    frame::{namespace_chain, tier_chain},
    names::{chain_name, followed_name, map_name, sockets_name},
    pieces::{self, Setting},
    policy::{Direction, Followed, Tier},
    ruleset::{Jump, Ruleset},
    tracked::Changes,
};

/// Who has come to use sets, or uses them no longer.
#[derive(Default)]
struct Users {
    /// Of each set of which a user has come or gone, whether the kernel has it.
    had: BTreeMap<Followed, bool>,
    /// A policy that knows what a set of subjects is to hold.
    homes: BTreeMap<Followed, At>,
    /// How many policies more, or fewer, are about each set of subjects.
    more: BTreeMap<Followed, isize>,
}

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
        let mut users = Users::default();
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
                    users.homes.insert(loaded.subjects, at.clone());
                }
                (Some(state), Some(loaded)) => {
                    delta.old_sets.extend(loaded.sets.iter().cloned());
                    self.leave(&loaded, &mut users);
                    let subjects = self.rewrite(&at, known, state, &mut users, &mut delta);
                    delta.replace(pieces::policy_chain(&state.policy, at.1, setting));
                    // Its priority may be another.
                    if state.policy.rank.is_some() || subjects.as_ref() != Some(&loaded.subjects) {
                        lists.insert((at.1, at.0.0.clone()));
                    }
                }
                (Some(state), None) => {
                    self.rewrite(&at, known, state, &mut users, &mut delta);
                    delta.make(pieces::policy_chain(&state.policy, at.1, setting));
                    lists.insert((at.1, at.0.0.clone()));
                }
                (None, Some(loaded)) => {
                    let chain = chain_name(at.1, &at.0);
                    delta.old_sets.extend(loaded.sets.iter().cloned());
                    self.leave(&loaded, &mut users);
                    delta.unmake(&chain);
                    lists.insert((at.1, at.0.0.clone()));
                    self.loaded.remove(&at);
                }
            }
            if let Some(local) = self.local.get_mut(&at) {
                local.take();
            }
        }
        self.place_subjects(setting, &users, &mut delta);
        self.forget_empty();
        self.share(known, shared, &users.had, &mut delta);
        for (direction, namespace) in lists {
            if namespace.is_empty() {
                for tier in Tier::BOTH {
                    let own = self.tier(direction, tier, known).into_iter();
                    delta.replace(tier_chain(direction, tier, own, known));
                }
            } else {
                self.list(direction, &namespace, known, &mut delta);
            }
        }
        self.lead(setting, &mut delta);
        if let Some(base) = base {
            delta.between(&self.base, &base);
            self.base = base;
        }
        delta
    }

    /// Makes the sets of its own that follow from a policy's text, which is new. Gives the set
    /// of its subjects.
    fn rewrite(
        &mut self,
        at: &At,
        known: &Known<'_>,
        state: &PolicyState,
        users: &mut Users,
        delta: &mut Delta,
    ) -> Option<Followed> {
        let loads = self.loads(at, known)?;
        delta.new_sets.extend(self.sets(at, known.setting, state));
        for followed in &loads.followed {
            let count = self.users.entry(followed.clone()).or_default();
            users.had.entry(followed.clone()).or_insert(*count > 0);
            *count += 1;
        }
        let subjects = loads.subjects.clone();
        users.homes.insert(subjects.clone(), at.clone());
        *users.more.entry(subjects.clone()).or_default() += 1;
        self.loaded.insert(at.clone(), loads);
        Some(subjects)
    }

    /// A policy no longer looks into the sets that it shared.
    fn leave(&mut self, loaded: &Loaded, users: &mut Users) {
        for followed in &loaded.followed {
            let count = self.users.entry(followed.clone()).or_default();
            users.had.entry(followed.clone()).or_insert(*count > 0);
            *count = count.saturating_sub(1);
        }
        *users.more.entry(loaded.subjects.clone()).or_default() -= 1;
    }

    /// Brings the sets of subjects up to date: policies about the same pods share one.
    fn place_subjects(&mut self, setting: &Setting, users: &Users, delta: &mut Delta) {
        for (whom, at) in &users.homes {
            let Some(now) = self.local.get(at).map(|local| local.addresses()) else { continue };
            match self.placed.get_mut(whom) {
                Some((old, _)) => {
                    let one = |address: &IpAddr| (*address, ());
                    let changes = Changes {
                        removed: old.difference(&now).map(one).collect(),
                        added: now.difference(old).map(one).collect(),
                    };
                    for &family in &setting.families {
                        delta.addresses(&followed_name(whom, family), family, &changes);
                    }
                    *old = now;
                }
                None => {
                    delta.new_sets.extend(subject_sets(whom, &now, setting));
                    self.placed.insert(whom.clone(), (now, 0));
                }
            }
        }
        for (whom, more) in &users.more {
            let Some((_, count)) = self.placed.get_mut(whom) else { continue };
            *count = count.saturating_add_signed(*more);
            if *count == 0 {
                self.placed.remove(whom);
                let families = setting.families.iter();
                delta.old_sets.extend(families.map(|&one| followed_name(whom, one)));
            }
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

    /// Changes the elements of a policy's own sets.
    fn alter(&mut self, at: &At, setting: &Setting, delta: &mut Delta) {
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
        known: &Known<'_>,
        delta: &mut Delta,
    ) {
        let mut policies = self.policies_of(direction, namespace).peekable();
        let is_empty = policies.peek().is_none();
        let chain = namespace_chain(direction, namespace, policies, known);
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
