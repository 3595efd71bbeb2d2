//! The difference between two states of a table, as one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    addresses::{Addresses, Family},
    pieces,
    ruleset::{Chain, Elements, Jump, Ruleset, Set},
    tracked::Changes,
};
use crate::model::Transport;

/// What to change in a node's table. The parts are carried out in the order of the fields,
/// so that nothing refers to what isn't there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Chains to make; their rules come later.
    pub(super) new_chains: Vec<Chain>,
    /// Chains to empty.
    pub(super) flushed: Vec<String>,
    /// Elements to take out of sets.
    pub(super) removed: Vec<Set>,
    pub(super) old_sets: Vec<String>,
    /// Sets to make, with their elements.
    pub(super) new_sets: Vec<Set>,
    /// Elements to put into sets.
    pub(super) added: Vec<Set>,
    /// Chains whose rules to append.
    pub(super) rules: Vec<Chain>,
    pub(super) old_chains: Vec<String>,
}

impl Delta {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn make(&mut self, chain: Chain) {
        self.new_chains.push(Chain { rules: Vec::new(), ..chain.clone() });
        self.rules.push(chain);
    }

    pub(super) fn replace(&mut self, chain: Chain) {
        self.flushed.push(chain.name.clone());
        self.rules.push(chain);
    }

    pub(super) fn unmake(&mut self, chain: &str) {
        self.flushed.push(chain.to_owned());
        self.old_chains.push(chain.to_owned());
    }

    /// Changes to the elements of one set.
    pub(super) fn change(
        &mut self,
        name: &str,
        family: Family,
        removed: Elements,
        added: Elements,
    ) {
        for (elements, list) in [(removed, &mut self.removed), (added, &mut self.added)] {
            if !elements.is_empty() {
                list.push(Set { name: name.to_owned(), family, elements });
            }
        }
    }

    /// Changes to the addresses of one set.
    pub(super) fn addresses(&mut self, name: &str, family: Family, changes: &Changes<IpAddr, ()>) {
        let of = |list: &[(IpAddr, ())]| {
            pieces::addresses(list.iter().map(|(address, ())| address), family)
        };
        self.change(name, family, of(&changes.removed), of(&changes.added));
    }

    /// Changes to the sockets of one set.
    pub(super) fn sockets(
        &mut self,
        name: &str,
        family: Family,
        changes: &Changes<(IpAddr, u16), ()>,
    ) {
        let of = |list: &[((IpAddr, u16), ())]| {
            pieces::sockets(list.iter().map(|(socket, ())| socket), family)
        };
        self.change(name, family, of(&changes.removed), of(&changes.added));
    }

    /// What leads from one list of sets and chains to another.
    pub(super) fn between(&mut self, old: &Ruleset, new: &Ruleset) {
        let mut remade = BTreeSet::new();
        let old_sets: BTreeMap<&str, &Set> =
            old.sets.iter().map(|set| (set.name.as_str(), set)).collect();
        for set in &new.sets {
            match old_sets.get(set.name.as_str()) {
                Some(old) if *old == set => {}
                Some(old) => match changed(&old.elements, &set.elements) {
                    Some((removed, added)) => self.change(&set.name, set.family, removed, added),
                    None => {
                        self.old_sets.push(set.name.clone());
                        self.new_sets.push(set.clone());
                        remade.insert(set.name.as_str());
                    }
                },
                None => self.new_sets.push(set.clone()),
            }
        }
        let names: BTreeSet<&str> = new.sets.iter().map(|set| set.name.as_str()).collect();
        let gone = old_sets.keys().filter(|name| !names.contains(*name));
        self.old_sets.extend(gone.map(|name| (*name).to_owned()));

        let old_chains: BTreeMap<&str, &Chain> =
            old.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect();
        for chain in &new.chains {
            match old_chains.get(chain.name.as_str()) {
                // A rule refers to a set, not to its name.
                Some(old) if *old == chain && !refers(chain, &remade) => {}
                Some(_) => self.replace(chain.clone()),
                None => self.make(chain.clone()),
            }
        }
        let names: BTreeSet<&str> = new.chains.iter().map(|chain| chain.name.as_str()).collect();
        for gone in old_chains.keys().filter(|name| !names.contains(*name)) {
            self.unmake(gone);
        }
    }
}

/// Whether rules of a chain refer to one of these sets.
fn refers(chain: &Chain, sets: &BTreeSet<&str>) -> bool {
    chain.rules.iter().any(|rule| rule.sets().any(|set| sets.contains(set)))
}

/// What goes and what comes; none where the set must be made anew.
fn changed(old: &Elements, new: &Elements) -> Option<(Elements, Elements)> {
    fn both<T: Ord + Clone>(old: &BTreeSet<T>, new: &BTreeSet<T>) -> (BTreeSet<T>, BTreeSet<T>) {
        (old.difference(new).cloned().collect(), new.difference(old).cloned().collect())
    }
    match (old, new) {
        (Elements::Addresses(old), Elements::Addresses(new))
            if old.is_single() && new.is_single() =>
        {
            let all = |set: &Addresses| set.ranges().map(|(one, _)| one).collect();
            let (removed, added) = both(&all(old), &all(new));
            let addresses = |set: BTreeSet<_>| Elements::Addresses(set.into_iter().collect());
            Some((addresses(removed), addresses(added)))
        }
        (Elements::Sockets(old), Elements::Sockets(new)) => {
            let (removed, added) = both(old, new);
            Some((Elements::Sockets(removed), Elements::Sockets(added)))
        }
        (Elements::Pairs(old), Elements::Pairs(new)) => {
            let (removed, added) = both(old, new);
            Some((Elements::Pairs(removed), Elements::Pairs(added)))
        }
        (Elements::Services(old), Elements::Services(new)) => {
            type Jumps = BTreeMap<(IpAddr, Transport, u16), Jump>;
            let differ = |from: &Jumps, other: &Jumps| {
                let own = from.iter().filter(|(key, jump)| other.get(*key) != Some(*jump));
                Elements::Services(own.map(|(key, jump)| (*key, jump.clone())).collect())
            };
            Some((differ(old, new), differ(new, old)))
        }
        _ => None,
    }
}
