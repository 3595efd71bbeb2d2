//! Words as numbers, and selectors over them.

use std::collections::HashMap;

use super::selector::{Requirement, Selector};
use crate::model::Labels;

/// A label's key or value, as a number.
pub(super) type Word = u32;

/// Labels, in the order of their keys' numbers.
pub(super) type Words = Box<[(Word, Word)]>;

/// Gives each word a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    words: HashMap<Box<str>, Word>,
}

impl Interner {
    pub(super) fn word(&mut self, text: &str) -> Word {
        if let Some(word) = self.words.get(text) {
            return *word;
        }
        // Four billion different labels don't fit into memory as text either.
        let word = Word::try_from(self.words.len()).unwrap_or(Word::MAX);
        self.words.insert(text.into(), word);
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
