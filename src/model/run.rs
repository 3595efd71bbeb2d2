//! The name of a run, which stands in the name of everything that it creates.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A run's id: six characters of `a-z` and `2-7`, the first a letter, so that it may
/// stand inside any Kubernetes object name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text is no run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no run id: six characters of a-z and 2-7, the first a letter")]
pub struct RunIdError(String);

impl RunId {
    /// Makes an id of 30 random bits; all others are ignored.
    pub fn from_random(bits: u32) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let text = (0..6)
            .map(|place| {
                let bits = (bits >> (5 * place)) as usize;
                // The first place only takes letters: names must not begin with a digit.
                char::from(if place == 0 { ALPHABET[bits % 26] } else { ALPHABET[bits % 32] })
            })
            .collect();
        Self(text)
    }

    /// The id as it stands in names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let fits = text.len() == 6
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        if fits { Ok(Self(text.to_owned())) } else { Err(RunIdError(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_id_parses_again() {
        for bits in (0..u32::MAX).step_by(7_654_321) {
            let id = RunId::from_random(bits);
            assert_eq!(id.as_str().parse(), Ok(id.clone()), "from {bits}");
        }
    }
}
