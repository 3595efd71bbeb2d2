//! Words as numbers, and selectors over them.

use std::collections::HashMap;

use super::selector::{Requirement, Selector};
use crate::model::Labels;

/// A label's key or value, as a number.
pub(super) type Word = u32;

/// Labels, in the order of their keys' numbers.
pub(super) type Words = Box<[(Word, Word)]>;

/// Gives each word a number. The words are spread over many small maps: where one has to
/// grow, a change of one label doesn't wait for all words to be moved.
#[derive(Clone, Debug)]
pub(super) struct Interner {
    shards: Box<[HashMap<Box<str>, Word>]>,
    next: Word,
}

/// A power of two.
const SHARDS: usize = 64;

impl Default for Interner {
    fn default() -> Self {
        Self { shards: vec![HashMap::new(); SHARDS].into(), next: 0 }
    }
}

/// FNV-1a, which only spreads.
fn shard(text: &str) -> usize {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (hash >> 32) as usize % SHARDS
}

impl Interner {
    pub(super) fn word(&mut self, text: &str) -> Word {
        let shard = &mut self.shards[shard(text)];
        if let Some(word) = shard.get(text) {
            return *word;
        }
        let word = self.next;
        // Four billion different labels don't fit into memory as text either.
        self.next = self.next.saturating_add(1);
        shard.insert(text.into(), word);
        word
    }

    pub(super) fn labels(&mut self, labels: &Labels) -> Words {
        let mut words: Vec<_> =
            labels.iter().map(|(key, value)| (self.word(key), self.word(value))).collect();
        words.sort_unstable();
        words.into()
    }

    pub(super) fn selector(&mut self, selector: &Selector) -> Selection {
        let mut set = |values: &std::collections::BTreeSet<String>| {
            let mut words: Vec<_> = values.iter().map(|value| self.word(value)).collect();
            words.sort_unstable();
            words.into_boxed_slice()
        };
        let mut terms = Vec::with_capacity(selector.requirements.len());
        for requirement in &selector.requirements {
            let test = match requirement {
                Requirement::In(_, values) => Test::In(set(values)),
                Requirement::NotIn(_, values) => Test::NotIn(set(values)),
                Requirement::Exists(_) => Test::Exists,
                Requirement::DoesNotExist(_) => Test::Missing,
            };
            terms.push((requirement.key(), test));
        }
        let terms = terms.into_iter().map(|(key, test)| Term { key: self.word(key), test });
        Selection { terms: terms.collect() }
    }
}

/// A selector over words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Selection {
    pub(super) terms: Box<[Term]>,
}

/// A requirement over words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub(super) key: Word,
    pub(super) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Test {
    In(Box<[Word]>),
    NotIn(Box<[Word]>),
    Exists,
    Missing,
}

impl Selection {
    pub(super) fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn matches(&self, labels: &[(Word, Word)]) -> bool {
        self.terms.iter().all(|term| {
            let found = labels.binary_search_by_key(&term.key, |(key, _)| *key);
            let value = found.ok().map(|at| labels[at].1);
            match (&term.test, value) {
                (Test::In(values), Some(value)) => values.binary_search(&value).is_ok(),
                (Test::NotIn(values), Some(value)) => values.binary_search(&value).is_err(),
                (Test::Exists, Some(_)) | (Test::NotIn(_) | Test::Missing, None) => true,
                (Test::In(_) | Test::Exists, None) | (Test::Missing, Some(_)) => false,
            }
        })
    }
}
