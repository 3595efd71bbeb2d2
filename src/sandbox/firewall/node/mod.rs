//! One node's share of the rules: the subjects of policies among its own pods, and what of
//! it the kernel has.

mod change;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    names::{namespace_chain_name, open_chain_name},
    pieces::{self, Place},
    policy::{Direction, Followed, Policy, PolicyKey, named},
    ruleset::{Jump, Ruleset},
    snapshot::PodEntry,
    tracked::{Changes, Tracked},
};

type At = (PolicyKey, Direction);

/// The rules of one node.
#[derive(Debug)]
pub(super) struct NodeRules {
    /// By policy and direction; without subjects on this node there is none.
    local: BTreeMap<At, Local>,
    /// How many NetworkPolicies isolate the pod at an address.
    isolation: BTreeMap<(Direction, IpAddr), usize>,
    maps: BTreeMap<Direction, Tracked<IpAddr, Jump>>,
    /// What the kernel has of each.
    loaded: BTreeMap<At, Loaded>,
    /// How many of them look into each of the sets that rules share.
    users: BTreeMap<Followed, usize>,
    /// The sets of subjects that the kernel has, and how many of them are about each.
    placed: BTreeMap<Followed, (BTreeSet<IpAddr>, usize)>,
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
    /// The sets of its own that follow from the policy's text.
    sets: Vec<String>,
    /// Those that it shares.
    followed: BTreeSet<Followed>,
    /// That of its subjects.
    subjects: Followed,
}

impl NodeRules {
    pub(super) fn new() -> Self {
        Self {
            local: BTreeMap::new(),
            isolation: BTreeMap::new(),
            maps: Direction::BOTH.map(|direction| (direction, Tracked::new())).into(),
            loaded: BTreeMap::new(),
            users: BTreeMap::new(),
            placed: BTreeMap::new(),
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
        if local.subjects.set(address, Some(())) {
            count(&mut self.isolation, &at, address, true);
        }
        if direction == Direction::Ingress {
            for (place, transport, name) in pieces::named_ports(policy) {
                let sockets = local.sockets.entry(place).or_insert_with(Tracked::new);
                for number in named(pod, name, transport) {
                    sockets.set((address, number), Some(()));
                }
            }
        }
        self.touched.insert(at);
    }

    /// Takes a pod out of a policy's subjects.
    pub(super) fn release(&mut self, key: &PolicyKey, direction: Direction, address: IpAddr) {
        let at = (key.clone(), direction);
        let Some(local) = self.local.get_mut(&at) else { return };
        if local.remove(address) {
            count(&mut self.isolation, &at, address, false);
            self.touched.insert(at);
        }
    }

    /// Takes a pod out of everything.
    pub(super) fn evict(&mut self, address: IpAddr, pod: &PodEntry) {
        // Policies of the cluster, and those of its namespace.
        for namespace in ["", &pod.namespace] {
            let first = ((namespace.to_owned(), String::new()), Direction::Egress);
            let own = self.local.range_mut(first..);
            for (at, local) in own.take_while(|((key, _), _)| key.0 == namespace) {
                if local.remove(address) {
                    count(&mut self.isolation, at, address, false);
                    self.touched.insert(at.clone());
                }
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
        let chain = if self.isolation.contains_key(&(direction, address)) {
            Some(namespace_chain_name(direction, &pod.namespace))
        } else {
            log.then(|| open_chain_name(direction))
        };
        let comment = format!("{}/{}", pod.namespace, pod.name);
        let jump = chain.map(|chain| Jump { chain, comment });
        if let Some(map) = self.maps.get_mut(&direction) {
            map.set(address, jump);
        }
    }

    /// The policies of a namespace of which the pod at an address is a subject; those of the
    /// cluster where the namespace is empty.
    pub(super) fn subject_of(
        &self,
        address: IpAddr,
        direction: Direction,
        namespace: &str,
    ) -> Vec<PolicyKey> {
        let own = self.of_namespace(direction, namespace);
        own.filter(|(_, local)| local.subjects.now().contains_key(&address))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The policies of a namespace that have to do with pods here.
    fn of_namespace(
        &self,
        direction: Direction,
        namespace: &str,
    ) -> impl Iterator<Item = (&PolicyKey, &Local)> {
        let first = ((namespace.to_owned(), String::new()), Direction::Egress);
        self.local
            .range(first..)
            .take_while(move |((key, _), _)| key.0 == namespace)
            .filter(move |((_, own), _)| *own == direction)
            .map(|((key, _), local)| (key, local))
    }

    /// Takes all pods out of a policy's subjects.
    pub(super) fn withdraw(&mut self, key: &PolicyKey, log: bool) {
        for direction in Direction::BOTH {
            let at = (key.clone(), direction);
            let Some(local) = self.local.get_mut(&at) else { continue };
            let subjects: Vec<IpAddr> = local.subjects.now().keys().copied().collect();
            for address in &subjects {
                local.subjects.set(*address, None);
            }
            // The text of the policy, and with it these sets, may be another next.
            local.sockets.clear();
            for &address in &subjects {
                count(&mut self.isolation, &at, address, false);
                if key.0.is_empty() || self.isolation.contains_key(&(direction, address)) {
                    continue;
                }
                let Some(map) = self.maps.get_mut(&direction) else { continue };
                let open = map.now().get(&address).filter(|_| log).map(|jump| Jump {
                    chain: open_chain_name(direction),
                    comment: jump.comment.clone(),
                });
                map.set(address, open);
            }
            self.touched.insert(at);
        }
    }
}

/// Keeps count of who isolates a pod. Policies of the cluster isolate nobody.
fn count(
    isolation: &mut BTreeMap<(Direction, IpAddr), usize>,
    (key, direction): &At,
    address: IpAddr,
    more: bool,
) {
    if key.0.is_empty() {
        return;
    }
    let place = (*direction, address);
    match (more, isolation.get_mut(&place)) {
        (true, Some(count)) => *count += 1,
        (true, None) => _ = isolation.insert(place, 1),
        (false, Some(count)) if *count > 1 => *count -= 1,
        (false, _) => _ = isolation.remove(&place),
    }
}

impl Local {
    fn new() -> Self {
        Self { subjects: Tracked::new(), sockets: BTreeMap::new() }
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.subjects.now().keys().copied().collect()
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
