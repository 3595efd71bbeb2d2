//! A kernel for tests, which holds a table and insists on its order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    net::IpAddr,
};

use super::Update;
use crate::{
    model::Transport,
    sandbox::firewall::{
        addresses::Addresses,
        ruleset::{Action, Chain, Elements, Jump, Rule, Ruleset, Set},
    },
};

/// A kernel that refuses what the real one would.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kernel {
    sets: BTreeMap<String, Set>,
    chains: BTreeMap<String, Chain>,
}

impl Kernel {
    pub(super) fn of(rules: Ruleset) -> Self {
        let sets = rules.sets.into_iter().map(|set| (set.name.clone(), set)).collect();
        let chains = rules.chains.into_iter().map(|chain| (chain.name.clone(), chain)).collect();
        Self { sets, chains }
    }

    pub(super) fn take(&mut self, update: &Update) {
        let delta = match update {
            Update::Whole(rules) => {
                let (sets, chains) = (rules.sets.len(), rules.chains.len());
                *self = Self::of(rules.clone());
                assert_eq!(
                    (self.sets.len(), self.chains.len()),
                    (sets, chains),
                    "names are unique"
                );
                return self.check();
            }
            Update::Delta(delta) => delta,
        };
        for chain in &delta.new_chains {
            let old = self.chains.insert(chain.name.clone(), chain.clone());
            assert_eq!(old, None, "chain {} is new", chain.name);
        }
        for name in &delta.flushed {
            self.chains.get_mut(name).expect(name).rules.clear();
        }
        for set in &delta.removed {
            let old = self.sets.get_mut(&set.name).expect(&set.name);
            old.elements = merged(&old.elements, &set.elements, false);
        }
        for name in &delta.old_sets {
            assert!(!self.is_used(name), "set {name} is in use");
            self.sets.remove(name).expect(name);
        }
        for set in &delta.new_sets {
            let old = self.sets.insert(set.name.clone(), set.clone());
            assert_eq!(old, None, "set {} is new", set.name);
        }
        for set in &delta.added {
            let old = self.sets.get_mut(&set.name).expect(&set.name);
            old.elements = merged(&old.elements, &set.elements, true);
        }
        for chain in &delta.rules {
            let own = self.chains.get_mut(&chain.name).expect(&chain.name);
            own.rules.extend(chain.rules.iter().cloned());
        }
        for name in &delta.old_chains {
            assert!(!self.leads_to(name), "chain {name} is in use");
            self.chains.remove(name).expect(name);
        }
        self.check();
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.chains.values().flat_map(|chain| &chain.rules)
    }

    fn is_used(&self, set: &str) -> bool {
        self.rules().any(|rule| rule.sets().any(|one| one == set))
    }

    fn leads_to(&self, chain: &str) -> bool {
        let jumps = self.sets.values().any(|set| match &set.elements {
            Elements::Jumps(jumps) => jumps.values().any(|jump| jump.chain == chain),
            _ => false,
        });
        jumps || self.rules().any(|rule| matches!(&rule.action, Action::Jump(to) if to == chain))
    }

    /// All that is referred to is there.
    fn check(&self) {
        for rule in self.rules() {
            for set in rule.sets() {
                assert!(self.sets.contains_key(set), "set {set}, of {rule}");
            }
            if let Action::Jump(to) = &rule.action {
                assert!(self.chains.contains_key(to), "chain {to}, of {rule}");
            }
        }
        for set in self.sets.values() {
            if let Elements::Jumps(jumps) = &set.elements {
                for jump in jumps.values() {
                    assert!(self.chains.contains_key(&jump.chain), "chain {}", jump.chain);
                }
            }
        }
    }
}

/// Elements with others put in or taken out; those must not be there before, or must.
fn merged(old: &Elements, change: &Elements, put: bool) -> Elements {
    fn all<T: Ord + Clone + Debug>(
        old: &BTreeSet<T>,
        change: &BTreeSet<T>,
        put: bool,
    ) -> BTreeSet<T> {
        if put {
            assert!(old.is_disjoint(change), "{change:?} was there");
            old.union(change).cloned().collect()
        } else {
            assert!(old.is_superset(change), "{change:?} was not there");
            old.difference(change).cloned().collect()
        }
    }
    match (old, change) {
        (Elements::Addresses(old), Elements::Addresses(change)) => {
            let set = |set: &Addresses| set.ranges().map(|(one, _)| one).collect();
            Elements::Addresses(all(&set(old), &set(change), put).into_iter().collect())
        }
        (Elements::Sockets(old), Elements::Sockets(change)) => {
            Elements::Sockets(all(old, change, put))
        }
        (Elements::Pairs(old), Elements::Pairs(change)) => Elements::Pairs(all(old, change, put)),
        (Elements::Jumps(old), Elements::Jumps(change)) => {
            let set = |map: &BTreeMap<IpAddr, _>| -> BTreeSet<_> {
                map.iter().map(|(key, jump)| (*key, Jump::clone(jump))).collect()
            };
            Elements::Jumps(all(&set(old), &set(change), put).into_iter().collect())
        }
        (Elements::Services(old), Elements::Services(change)) => {
            type Jumps = BTreeMap<(IpAddr, Transport, u16), Jump>;
            let set = |map: &Jumps| -> BTreeSet<_> {
                map.iter().map(|(key, jump)| (*key, jump.clone())).collect()
            };
            Elements::Services(all(&set(old), &set(change), put).into_iter().collect())
        }
        (old, change) => panic!("{old:?} is of another kind than {change:?}"),
    }
}
