//! Equal values in one place of memory: a round says the same of most of its cases.

use std::collections::BTreeSet;

/// One of each value; `T` is something whose copies share their memory.
pub(super) struct Once<T>(BTreeSet<T>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Clone> Once<T> {
    /// Puts an equal value that was seen before in the place of this one.
    pub fn put(&mut self, value: &mut T) {
        match self.0.get(value) {
            Some(seen) => *value = seen.clone(),
            None => {
                self.0.insert(value.clone());
            }
        }
    }
}
