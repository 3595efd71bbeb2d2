//! `--filter`: which cases to run, by their ids.
//!
//! A pattern without `*` matches where the id contains it; one with `*` must match the
//! whole id, and its `*` stand for any text, slashes included. `!` before a pattern
//! leaves out what it matches. A case runs if any of the plain patterns matches it (or
//! there is none) and none of those with `!` does.

use std::str::FromStr;

use super::CaseId;

/// Which cases to run; the default lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<Pattern>,
}

/// One `--filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    leaves_out: bool,
}

/// The text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an empty pattern matches every case; leave the filter away")]
pub struct PatternError;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (text, leaves_out) = match text.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Err(PatternError);
        }
        Ok(Self { text: text.to_owned(), leaves_out })
    }
}

impl Pattern {
    fn matches(&self, id: &str) -> bool {
        if self.text.contains('*') { glob(&self.text, id) } else { id.contains(&self.text) }
    }
}

impl From<Vec<Pattern>> for Filter {
    fn from(patterns: Vec<Pattern>) -> Self {
        Self { patterns }
    }
}

impl Filter {
    /// True if the case is to run.
    pub fn keeps(&self, id: &CaseId) -> bool {
        let matching = |leaves_out| move |pattern: &&Pattern| pattern.leaves_out == leaves_out;
        let mut wanted = self.patterns.iter().filter(matching(false)).peekable();
        (wanted.peek().is_none() || wanted.any(|pattern| pattern.matches(&id.0)))
            && !self.patterns.iter().filter(matching(true)).any(|pattern| pattern.matches(&id.0))
    }
}

/// Matches a whole text; the shortest match of each piece between two `*` is enough,
/// because what follows may be any text.
fn glob(pattern: &str, text: &str) -> bool {
    let (first, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_what_its_patterns_say() {
        let id = CaseId("shop/base/web-api/main/ipv4".to_owned());
        for (patterns, keeps, why) in [
            (&[][..], true, "no pattern keeps all"),
            (&["web-api"], true, "a part of the id"),
            (&["web-db"], false, "no part of the id"),
            (&["web-db", "web-api"], true, "any of several"),
            (&["!web-api"], false, "left out"),
            (&["!web-db"], true, "only others are left out"),
            (&["shop", "!ipv4"], false, "leaving out wins"),
            (&["shop/*"], true, "a glob's star at the end"),
            (&["*/ipv4"], true, "a glob's star at the start"),
            (&["web-*"], false, "a glob matches the whole id"),
            (&["shop/*/main/*"], true, "stars cross slashes"),
            (&["shop/*api*api*"], false, "each piece is used once"),
            (&["**"], true, "two stars are one"),
            (&["shop/base/web-api/main/ipv4*ipv4"], false, "first and last don't overlap"),
        ] {
            let patterns = patterns.iter().map(|text| text.parse().expect("a pattern"));
            let filter = Filter::from(patterns.collect::<Vec<Pattern>>());
            assert_eq!(filter.keeps(&id), keeps, "{why}: {filter:?}");
        }
    }

    #[test]
    fn an_empty_pattern_is_a_mistake() {
        assert_eq!("".parse::<Pattern>(), Err(PatternError));
        assert_eq!("!".parse::<Pattern>(), Err(PatternError));
    }
}
