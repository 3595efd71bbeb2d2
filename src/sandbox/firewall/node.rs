//! One node's share of the rules: the subjects of policies among its own pods, and what of
//! it the kernel has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    addresses::Family,
    delta::Delta,
    engine::{PolicyState, SharedChanges},
    pieces::{self, Place, Setting},
    policy::{Direction, Policy, PolicyKey, named},
    ruleset::{Elements, Jump, Ruleset, Set},
    snapshot::PodEntry,
    tracked::{Changes, Tracked},
};

type Policies = BTreeMap<PolicyKey, PolicyState>;
type At = (PolicyKey, Direction);

/// The rules of one node.
#[derive(Debug)]
pub(super) struct NodeRules {
    /// By policy and direction; without subjects on this node there is none.
    local: BTreeMap<At, Local>,
    maps: BTreeMap<Direction, Tracked<IpAddr, Jump>>,
    /// What the kernel has of each.
    loaded: BTreeMap<At, Loaded>,
    loaded_namespaces: BTreeMap<Direction, BTreeSet<String>>,
    base: Ruleset,
    /// What has changed since the last delta.
    touched: BTreeSet<At>,
    /// The kernel has nothing that one could build on.
    stale: bool,
}

/// What a policy has to do with this node's pods.
#[derive(Debug)]
struct Local {
    subjects: Tracked<IpAddr>,
    /// Named ports of the subjects, for ingress.
    sockets: BTreeMap<Place, Tracked<(IpAddr, u16)>>,
}

#[derive(Clone, Debug)]
struct Loaded {
    version: u64,
    sets: Vec<String>,
}

impl NodeRules {
    pub(super) fn new() -> Self {
        Self {
            local: BTreeMap::new(),
            maps: Direction::BOTH.map(|direction| (direction, Tracked::new())).into(),
            loaded: BTreeMap::new(),
            loaded_namespaces: BTreeMap::new(),
            base: Ruleset::default(),
            touched: BTreeSet::new(),
            stale: true,
        }
    }

    pub(super) fn reload(&mut self) {
        self.stale = true;
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Makes a pod a subject of a policy.
    pub(super) fn subject(
        &mut self,
        policy: &Policy,
        direction: Direction,
        address: IpAddr,
        pod: &PodEntry,
    ) {
        let at = (policy.key.clone(), direction);
        let local = self.local.entry(at.clone()).or_insert_with(Local::new);
        local.subjects.set(address, Some(()));
        if direction == Direction::Ingress {
            for (place, _, transport, name) in pieces::named_ports(policy, direction) {
                let sockets = local.sockets.entry(place).or_insert_with(Tracked::new);
                for number in named(pod, name, transport) {
                    sockets.set((address, number), Some(()));
                }
            }
        }
        self.touched.insert(at);
    }

    /// Takes a pod out of everything.
    pub(super) fn evict(&mut self, address: IpAddr, pod: &PodEntry) {
        let first = ((pod.namespace.clone(), String::new()), Direction::Egress);
        let own = self.local.range_mut(first..);
        for (at, local) in own.take_while(|((key, _), _)| key.0 == pod.namespace) {
            if local.remove(address) {
                self.touched.insert(at.clone());
            }
        }
        for map in self.maps.values_mut() {
            map.set(address, None);
        }
    }

    /// Leads to a pod's chain, which depends on whether a policy isolates it.
    pub(super) fn admit(
        &mut self,
        direction: Direction,
        address: IpAddr,
        pod: &PodEntry,
        log: bool,
    ) {
        let isolated = !self.isolating(address, direction, &pod.namespace).is_empty();
        let chain = if isolated {
            Some(pieces::namespace_chain_name(direction, &pod.namespace))
        } else {
            log.then(|| pieces::open_chain_name(direction))
        };
        let comment = format!("{}/{}", pod.namespace, pod.name);
        let jump = chain.map(|chain| Jump { chain, comment });
        if let Some(map) = self.maps.get_mut(&direction) {
            map.set(address, jump);
        }
    }

    /// The policies of which the pod at an address is a subject.
    pub(super) fn isolating(
        &self,
        address: IpAddr,
        direction: Direction,
        namespace: &str,
    ) -> Vec<PolicyKey> {
        let first = ((namespace.to_owned(), String::new()), Direction::Egress);
        self.local
            .range(first..)
            .take_while(|((key, _), _)| key.0 == namespace)
            .filter(|((_, own), local)| {
                *own == direction && local.subjects.now().contains_key(&address)
            })
            .map(|((key, _), _)| key.clone())
            .collect()
    }

    /// Takes all pods out of a policy's subjects.
    pub(super) fn withdraw(&mut self, key: &PolicyKey, log: bool) {
        for direction in Direction::BOTH {
            let at = (key.clone(), direction);
            let Some(local) = self.local.get_mut(&at) else { continue };
            let subjects: Vec<IpAddr> = local.subjects.now().keys().copied().collect();
            // The text of the policy, and with it the sets, may be another next.
            self.local.remove(&at);
            self.touched.insert(at);
            for address in subjects {
                if !self.isolating(address, direction, &key.0).is_empty() {
                    continue;
                }
                let Some(map) = self.maps.get_mut(&direction) else { continue };
                let open = map.now().get(&address).filter(|_| log).map(|jump| Jump {
                    chain: pieces::open_chain_name(direction),
                    comment: jump.comment.clone(),
                });
                map.set(address, open);
            }
        }
    }

    /// The whole table, for a kernel that has nothing one could build on.
    pub(super) fn whole(
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

    fn forget_empty(&mut self) {
        self.local.retain(|_, local| !local.subjects.now().is_empty());
    }

    /// The namespaces that have a chain in each direction.
    fn namespaces(&self) -> BTreeMap<Direction, BTreeSet<String>> {
        let mut namespaces: BTreeMap<Direction, BTreeSet<String>> = BTreeMap::new();
        for ((key, direction), local) in &self.local {
            if !local.subjects.now().is_empty() {
                namespaces.entry(*direction).or_default().insert(key.0.clone());
            }
        }
        namespaces
    }

    /// The policies that have subjects of a namespace here.
    fn policies_of(&self, direction: Direction, namespace: &str) -> Vec<&PolicyKey> {
        let first = ((namespace.to_owned(), String::new()), Direction::Egress);
        self.local
            .range(first..)
            .take_while(|((key, _), _)| key.0 == namespace)
            .filter(|((_, own), local)| *own == direction && !local.subjects.now().is_empty())
            .map(|((key, _), _)| key)
            .collect()
    }

    /// The table as it is to be.
    pub(super) fn ruleset(&self, setting: &Setting, policies: &Policies, base: Ruleset) -> Ruleset {
        let mut whole = base;
        let bases = std::mem::take(&mut whole.chains);
        for (at, local) in &self.local {
            let Some(state) = policies.get(&at.0) else { continue };
            if local.subjects.now().is_empty() {
                continue;
            }
            whole.sets.extend(self.sets(at, setting, state));
            whole.chains.push(pieces::policy_chain(&state.policy, at.1, setting));
        }
        for (direction, namespaces) in self.namespaces() {
            for namespace in namespaces {
                let policies = self.policies_of(direction, &namespace);
                let policies = policies.into_iter();
                let chain = pieces::namespace_chain(direction, &namespace, policies, setting);
                whole.chains.push(chain);
            }
        }
        for (direction, map) in &self.maps {
            for &family in &setting.families {
                let name = pieces::map_name(*direction, family);
                let elements = pieces::jumps(map.now(), family);
                whole.sets.push(Set { name, family, elements });
            }
        }
        whole.chains.extend(bases);
        whole
    }

    /// The sets of a policy's direction.
    fn sets(&self, at: &At, setting: &Setting, state: &PolicyState) -> Vec<Set> {
        let (Some(local), Some(shared)) = (self.local.get(at), state.shared.get(&at.1)) else {
            return Vec::new();
        };
        let chain = pieces::chain_name(at.1, &at.0);
        let mut sets = Vec::new();
        for &family in &setting.families {
            let set = |name, elements| Set { name, family, elements };
            let subjects = pieces::addresses(local.subjects.now().keys(), family);
            sets.push(set(pieces::subjects_name(&chain, family), subjects));
            for (index, peers) in &shared.peers {
                let name = pieces::peers_name(&chain, *index, family);
                sets.push(set(name, pieces::addresses(peers.now().keys(), family)));
            }
            for (place, _, _, _) in pieces::named_ports(&state.policy, at.1) {
                let sockets = shared.sockets.get(&place).or_else(|| local.sockets.get(&place));
                let sockets = sockets.into_iter().flat_map(|sockets| sockets.now().keys());
                let name = pieces::sockets_name(&chain, place, family);
                sets.push(set(name, pieces::sockets(sockets, family)));
            }
        }
        sets.extend(pieces::block_sets(&state.policy, at.1));
        sets
    }

    /// What leads from what the kernel has to what it is to have.
    pub(super) fn delta(
        &mut self,
        setting: &Setting,
        policies: &Policies,
        shared: &BTreeMap<At, SharedChanges>,
        base: Option<Ruleset>,
    ) -> Delta {
        let mut delta = Delta::default();
        let mut touched = std::mem::take(&mut self.touched);
        touched.extend(shared.keys().filter(|at| self.loaded.contains_key(*at)).cloned());
        // The chains of namespaces in which policies have come or gone.
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
                (Some(state), loaded) => {
                    let chain = pieces::policy_chain(&state.policy, at.1, setting);
                    let sets = self.sets(&at, setting, state);
                    let names = sets.iter().map(|set| set.name.clone()).collect();
                    match loaded {
                        Some(loaded) => {
                            delta.old_sets.extend(loaded.sets);
                            delta.replace(chain);
                        }
                        None => delta.make(chain),
                    }
                    // The subjects' set is among them, to which the namespace's chain refers.
                    lists.insert((at.1, at.0.0.clone()));
                    delta.new_sets.extend(sets);
                    let loaded = Loaded { version: state.version, sets: names };
                    self.loaded.insert(at.clone(), loaded);
                }
                (None, Some(loaded)) => {
                    delta.old_sets.extend(loaded.sets);
                    delta.unmake(&pieces::chain_name(at.1, &at.0));
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
            self.list(direction, &namespace, setting, &mut delta);
        }
        self.lead(setting, &mut delta);
        if let Some(base) = base {
            delta.between(&self.base, &base);
            self.base = base;
        }
        delta
    }

    /// Changes the elements of a policy's sets.
    fn alter(
        &mut self,
        at: &At,
        setting: &Setting,
        shared: Option<&SharedChanges>,
        delta: &mut Delta,
    ) {
        let chain = pieces::chain_name(at.1, &at.0);
        let Some(local) = self.local.get_mut(at) else { return };
        let (subjects, own) = local.take();
        for &family in &setting.families {
            addresses(delta, pieces::subjects_name(&chain, family), family, &subjects);
            for (index, changes) in shared.iter().flat_map(|shared| &shared.peers) {
                addresses(delta, pieces::peers_name(&chain, *index, family), family, changes);
            }
            let places = shared.iter().flat_map(|shared| &shared.sockets).chain(&own);
            for (place, changes) in places {
                sockets(delta, pieces::sockets_name(&chain, *place, family), family, changes);
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
        let policies = self.policies_of(direction, namespace);
        let is_empty = policies.is_empty();
        let chain = pieces::namespace_chain(direction, namespace, policies.into_iter(), setting);
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
                let name = pieces::map_name(*direction, family);
                let of = |list: &[(IpAddr, Jump)]| {
                    pieces::jumps(list.iter().map(|(address, jump)| (address, jump)), family)
                };
                delta.change(&name, family, of(&changes.removed), of(&changes.added));
            }
        }
    }
}

impl Local {
    fn new() -> Self {
        Self { subjects: Tracked::new(), sockets: BTreeMap::new() }
    }

    fn remove(&mut self, address: IpAddr) -> bool {
        for sockets in self.sockets.values_mut() {
            let own = sockets.now().range((address, 0)..=(address, u16::MAX));
            let own: Vec<_> = own.map(|(socket, ())| *socket).collect();
            for socket in own {
                sockets.set(socket, None);
            }
        }
        self.subjects.set(address, None)
    }

    #[allow(clippy::type_complexity, reason = "the two halves of one answer")]
    fn take(&mut self) -> (Changes<IpAddr, ()>, BTreeMap<Place, Changes<(IpAddr, u16), ()>>) {
        let sockets = self.sockets.iter_mut().map(|(place, set)| (*place, set.take()));
        (self.subjects.take(), sockets.collect())
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
