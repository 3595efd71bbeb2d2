//! A node's whole table.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Loaded, NodeRules, Policies};
use crate::sandbox::firewall::{
    engine::PolicyState,
    frame::{namespace_chain, next_chain, open_chain, tier_chain},
    names::{chain_name, map_name, peers_name, sockets_name, subjects_name},
    pieces::{self, Setting},
    policy::{Direction, PolicyKey, Tier},
    ruleset::{Ruleset, Set},
};

impl NodeRules {
    /// The whole table, for a kernel that has nothing one could build on.
    pub(in crate::sandbox::firewall) fn whole(
        &mut self,
        setting: &Setting,
        policies: &Policies,
        base: Ruleset,
    ) -> Ruleset {
        let whole = self.ruleset(setting, policies, base.clone());
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
        self.loaded = self
            .local
            .keys()
            .filter_map(|at| {
                let state = policies.get(&at.0)?;
                let sets = self.sets(at, setting, state).into_iter().map(|set| set.name).collect();
                Some((at.clone(), Loaded { version: state.version, sets }))
            })
            .collect();
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
        policies: &Policies,
    ) -> Vec<&PolicyKey> {
        let rank = |key: &PolicyKey| policies.get(key).and_then(|state| state.policy.rank);
        let own = self.policies_of(direction, "").filter_map(|key| Some((rank(key)?, key)));
        let mut own: Vec<_> = own.filter(|((found, _), _)| *found == tier).collect();
        own.sort_unstable();
        own.into_iter().map(|(_, key)| key).collect()
    }

    /// The table as it is to be.
    pub(in crate::sandbox::firewall) fn ruleset(
        &self,
        setting: &Setting,
        policies: &Policies,
        base: Ruleset,
    ) -> Ruleset {
        let mut whole = Ruleset { sets: base.sets, chains: Vec::new() };
        let (entries, apart): (Vec<_>, Vec<_>) =
            base.chains.into_iter().partition(|chain| chain.base.is_some());
        whole.chains.extend(apart);
        for (at, local) in &self.local {
            let Some(state) = policies.get(&at.0) else { continue };
            if local.subjects.now().is_empty() {
                continue;
            }
            whole.sets.extend(self.subject_sets(at, setting));
            whole.sets.extend(self.sets(at, setting, state));
            whole.chains.push(pieces::policy_chain(&state.policy, at.1, setting));
        }
        for direction in Direction::BOTH {
            for tier in Tier::BOTH {
                let own = self.tier(direction, tier, policies).into_iter();
                whole.chains.push(tier_chain(direction, tier, own, setting));
            }
            if setting.log {
                whole.chains.push(open_chain(direction));
            }
            whole.chains.push(next_chain(direction, setting));
        }
        for (direction, namespaces) in self.namespaces() {
            for namespace in namespaces {
                let policies = self.policies_of(direction, &namespace);
                let chain = namespace_chain(direction, &namespace, policies, setting);
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

    /// The sets of a policy's subjects.
    pub(super) fn subject_sets(&self, at: &At, setting: &Setting) -> Vec<Set> {
        let chain = chain_name(at.1, &at.0);
        let local = self.local.get(at).into_iter();
        let set = |(local, family): (&super::Local, _)| Set {
            name: subjects_name(&chain, family),
            family,
            elements: pieces::addresses(local.subjects.now().keys(), family),
        };
        let all = local.flat_map(|local| setting.families.iter().map(move |&one| (local, one)));
        all.map(set).collect()
    }

    /// The sets that follow from the text of a policy's direction.
    pub(super) fn sets(&self, at: &At, setting: &Setting, state: &PolicyState) -> Vec<Set> {
        let (Some(local), Some(shared)) = (self.local.get(at), state.shared.get(&at.1)) else {
            return Vec::new();
        };
        let chain = chain_name(at.1, &at.0);
        let mut sets = Vec::new();
        for &family in &setting.families {
            let set = |name, elements| Set { name, family, elements };
            for (followed, peers) in &shared.peers {
                let name = peers_name(&chain, *followed, family);
                sets.push(set(name, pieces::addresses(peers.now().keys(), family)));
            }
            for (place, _, _, _) in pieces::named_ports(&state.policy, at.1) {
                let sockets = shared.sockets.get(&place).or_else(|| local.sockets.get(&place));
                let sockets = sockets.into_iter().flat_map(|sockets| sockets.now().keys());
                let name = sockets_name(&chain, place, family);
                sets.push(set(name, pieces::sockets(sockets, family)));
            }
        }
        sets.extend(pieces::block_sets(&state.policy, at.1));
        sets
    }
}
