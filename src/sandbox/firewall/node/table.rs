//! A node's whole table.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{At, Loaded, NodeRules};
use crate::sandbox::firewall::{
    engine::{Known, PolicyState},
    frame::{namespace_chain, next_chain, open_chain, tier_chain},
    names::{chain_name, followed_name, map_name, sockets_name},
    pieces::{self, Setting},
    policy::{Direction, Followed, PolicyKey, Tier},
    ruleset::{Ruleset, Set},
};

impl NodeRules {
    /// The whole table, for a kernel that has nothing one could build on.
    pub(in crate::sandbox::firewall) fn whole(
        &mut self,
        known: &Known<'_>,
        base: Ruleset,
    ) -> Ruleset {
        let whole = self.ruleset(known, base.clone());
        self.base = base;
        self.stale = false;
        self.touched.clear();
        self.forget_empty();
        for local in self.local.values_mut() {
            local.take();
        }
        for map in self.maps.values_mut() {
            map.take();
        }
        let loaded = self.local.keys().filter_map(|at| Some((at.clone(), self.loads(at, known)?)));
        self.loaded = loaded.collect();
        self.placed.clear();
        for (at, loaded) in &self.loaded {
            let own = || self.local.get(at).map(|local| local.addresses()).unwrap_or_default();
            self.placed.entry(loaded.subjects.clone()).or_insert_with(|| (own(), 0)).1 += 1;
        }
        self.users.clear();
        for followed in self.loaded.values().flat_map(|loaded| &loaded.followed) {
            *self.users.entry(followed.clone()).or_default() += 1;
        }
        self.loaded_namespaces = self.namespaces();
        whole
    }

    pub(super) fn forget_empty(&mut self) {
        self.local.retain(|_, local| !local.subjects.now().is_empty());
    }

    /// The namespaces that have a chain in each direction.
    fn namespaces(&self) -> BTreeMap<Direction, BTreeSet<String>> {
        let mut namespaces: BTreeMap<Direction, BTreeSet<String>> = BTreeMap::new();
        for ((key, direction), local) in &self.local {
            if !key.0.is_empty() && !local.subjects.now().is_empty() {
                namespaces.entry(*direction).or_default().insert(key.0.clone());
            }
        }
        namespaces
    }

    /// The policies that have subjects of a namespace here; those of the cluster where it is
    /// empty.
    pub(super) fn policies_of(
        &self,
        direction: Direction,
        namespace: &str,
    ) -> impl Iterator<Item = &PolicyKey> {
        let own = self.of_namespace(direction, namespace);
        own.filter(|(_, local)| !local.subjects.now().is_empty()).map(|(key, _)| key)
    }

    /// The policies of a tier that have subjects here, in the order in which they are asked.
    /// Of two with one priority, which the API leaves open, the first by its name.
    pub(super) fn tier(
        &self,
        direction: Direction,
        tier: Tier,
        known: &Known<'_>,
    ) -> Vec<&PolicyKey> {
        let rank = |key: &PolicyKey| known.policies.get(key).and_then(|state| state.policy.rank);
        let own = self.policies_of(direction, "").filter_map(|key| Some((rank(key)?, key)));
        let mut own: Vec<_> = own.filter(|((found, _), _)| *found == tier).collect();
        own.sort_unstable();
        own.into_iter().map(|(_, key)| key).collect()
    }

    /// The table as it is to be.
    pub(in crate::sandbox::firewall) fn ruleset(
        &self,
        known: &Known<'_>,
        base: Ruleset,
    ) -> Ruleset {
        let setting = known.setting;
        let mut whole = Ruleset { sets: base.sets, chains: Vec::new() };
        let (entries, apart): (Vec<_>, Vec<_>) =
            base.chains.into_iter().partition(|chain| chain.base.is_some());
        whole.chains.extend(apart);
        let (mut followed, mut subjects) = (BTreeSet::new(), BTreeMap::new());
        for (at, local) in &self.local {
            let Some(state) = known.policies.get(&at.0) else { continue };
            if local.subjects.now().is_empty() {
                continue;
            }
            if let Some(whom) = known.subjects((&at.0, at.1)) {
                subjects.entry(whom).or_insert_with(|| local.addresses());
            }
            whole.sets.extend(self.sets(at, setting, state));
            followed.extend(state.followed.get(&at.1).into_iter().flatten());
            whole.chains.push(pieces::policy_chain(&state.policy, at.1, setting));
        }
        let subjects = subjects.iter();
        let subjects = subjects.flat_map(|(whom, own)| subject_sets(whom, own, setting));
        whole.sets.extend(subjects);
        whole.sets.extend(followed.into_iter().flat_map(|one| shared_sets(one, known)));
        for direction in Direction::BOTH {
            for tier in Tier::BOTH {
                let own = self.tier(direction, tier, known).into_iter();
                whole.chains.push(tier_chain(direction, tier, own, known));
            }
            if setting.log {
                whole.chains.push(open_chain(direction));
            }
            whole.chains.push(next_chain(direction, setting));
        }
        for (direction, namespaces) in self.namespaces() {
            for namespace in namespaces {
                let policies = self.policies_of(direction, &namespace);
                let chain = namespace_chain(direction, &namespace, policies, known);
                whole.chains.push(chain);
            }
        }
        for (direction, map) in &self.maps {
            for &family in &setting.families {
                let name = map_name(*direction, family);
                let elements = pieces::jumps(map.now(), family);
                whole.sets.push(Set { name, family, elements });
            }
        }
        whole.chains.extend(entries);
        whole
    }

    /// The sets of a policy's own that follow from the text of its direction.
    pub(super) fn sets(&self, at: &At, setting: &Setting, state: &PolicyState) -> Vec<Set> {
        let Some(local) = self.local.get(at) else { return Vec::new() };
        let chain = chain_name(at.1, &at.0);
        let mut sets = Vec::new();
        if at.1 == Direction::Ingress {
            for &family in &setting.families {
                for (place, ..) in pieces::named_ports(&state.policy) {
                    let sockets = local.sockets.get(&place).into_iter();
                    let sockets = sockets.flat_map(|sockets| sockets.now().keys());
                    let name = sockets_name(&chain, place, family);
                    sets.push(Set { name, family, elements: pieces::sockets(sockets, family) });
                }
            }
        }
        sets.extend(pieces::block_sets(&state.policy, at.1));
        sets
    }

    /// What the kernel has of a policy's direction, once it has it.
    pub(super) fn loads(&self, at: &At, known: &Known<'_>) -> Option<Loaded> {
        let state = known.policies.get(&at.0)?;
        let subjects = known.subjects((&at.0, at.1))?;
        let sets = self.sets(at, known.setting, state).into_iter().map(|set| set.name).collect();
        let followed = state.followed.get(&at.1).cloned().unwrap_or_default();
        Some(Loaded { version: state.version, sets, followed, subjects })
    }
}

/// The sets of subjects, for each family.
pub(super) fn subject_sets(whom: &Followed, own: &BTreeSet<IpAddr>, setting: &Setting) -> Vec<Set> {
    let set = |&family: &_| Set {
        name: followed_name(whom, family),
        family,
        elements: pieces::addresses(own, family),
    };
    setting.families.iter().map(set).collect()
}

/// A set that rules share, for each family.
pub(super) fn shared_sets(followed: &Followed, known: &Known<'_>) -> Vec<Set> {
    let set = |&family: &_| Set {
        name: followed_name(followed, family),
        family,
        elements: known.register.elements(followed, family),
    };
    known.setting.families.iter().map(set).collect()
}
