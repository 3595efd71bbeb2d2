//! A map that remembers what has changed since the changes were last taken.

use std::collections::BTreeMap;

/// Entries, and what those that changed were before.
#[derive(Clone, Debug)]
pub(super) struct Tracked<K, V = ()> {
    now: BTreeMap<K, V>,
    before: BTreeMap<K, Option<V>>,
}

/// What has changed: an entry with a new value was removed and added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changes<K, V> {
    pub removed: Vec<(K, V)>,
    pub added: Vec<(K, V)>,
}

impl<K: Ord + Clone, V: Clone + PartialEq> Tracked<K, V> {
    pub(super) fn new() -> Self {
        Self { now: BTreeMap::new(), before: BTreeMap::new() }
    }

    /// Sets or removes an entry. Says whether that changed anything.
    pub(super) fn set(&mut self, key: K, value: Option<V>) -> bool {
        if self.now.get(&key) == value.as_ref() {
            return false;
        }
        let old = match value {
            Some(value) => self.now.insert(key.clone(), value),
            None => self.now.remove(&key),
        };
        self.before.entry(key).or_insert(old);
        true
    }

    /// The entries as they are.
    pub(super) fn now(&self) -> &BTreeMap<K, V> {
        &self.now
    }

    /// What has changed since the last time; what came and went has not.
    pub(super) fn take(&mut self) -> Changes<K, V> {
        let mut changes = Changes { removed: Vec::new(), added: Vec::new() };
        for (key, before) in std::mem::take(&mut self.before) {
            let now = self.now.get(&key);
            if now == before.as_ref() {
                continue;
            }
            changes.added.extend(now.map(|now| (key.clone(), now.clone())));
            changes.removed.extend(before.map(|before| (key, before)));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_different_in_the_end_has_changed() {
        let mut map = Tracked::new();
        for (key, value) in [("stays", Some(1)), ("goes", Some(2)), ("changes", Some(3))] {
            assert!(map.set(key, value), "{key} is new");
        }
        map.take();
        for (key, value, changed) in [
            ("stays", None, true),
            ("stays", Some(1), true),
            ("goes", None, true),
            ("goes", None, false),
            ("changes", Some(4), true),
            ("changes", Some(5), true),
            ("comes", Some(6), true),
            ("passes", Some(7), true),
            ("passes", None, true),
        ] {
            assert_eq!(map.set(key, value), changed, "{key} to {value:?}");
        }
        let changes = map.take();
        assert_eq!(changes.removed, [("changes", 3), ("goes", 2)]);
        assert_eq!(changes.added, [("changes", 5), ("comes", 6)]);
        assert_eq!(map.take(), Changes { removed: Vec::new(), added: Vec::new() });
    }
}
