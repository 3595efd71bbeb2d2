//! Names for what a run creates: valid, short enough, and never given twice.

use std::collections::BTreeSet;

use crate::model::RunId;

/// The longest DNS-1123 label.
const LONGEST: usize = 63;

/// Gives names of the form `np-<run>-<slug><tail>`, each once.
pub(super) struct Names {
    run: RunId,
    taken: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(run: &RunId) -> Self {
        Self { run: run.clone(), taken: BTreeSet::new() }
    }

    /// A name that was not given before; where the slug is taken it gets a number.
    pub(super) fn give(&mut self, text: &str, tail: &str) -> String {
        let mut number = 1;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let head = format!("np-{}-", self.run);
            let room = LONGEST - head.len() - suffix.len() - tail.len();
            let name = format!("{head}{}{suffix}{tail}", slug(text, room));
            if self.taken.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }

    /// True if the slug would get its own name without a number.
    pub(super) fn is_free(&self, text: &str, tail: &str) -> bool {
        let mut probe = Self { run: self.run.clone(), taken: BTreeSet::new() };
        !self.taken.contains(&probe.give(text, tail))
    }

    /// Takes a name that somebody else chose; false if it was given already.
    pub(super) fn reserve(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }
}

/// The text as part of a DNS-1123 label: `a-z`, `0-9` and single dashes inside.
pub(super) fn slug(text: &str, longest: usize) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if slug.len() >= longest {
            break;
        }
        match character.to_ascii_lowercase() {
            kept @ ('a'..='z' | '0'..='9') => slug.push(kept),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let trimmed = slug.trim_end_matches('-');
    if trimmed.is_empty() { "x".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_fit_for_a_name() {
        for (text, expected) in [
            ("web", "web"),
            ("Web API", "web-api"),
            ("--a..b--", "a-b"),
            ("größe", "gr-e"),
            ("日本", "x"),
            ("", "x"),
            ("abcdefghijkl", "abcdefgh"),
            ("abcdefg-ijkl", "abcdefg"),
        ] {
            assert_eq!(slug(text, 8), expected, "of {text:?}");
        }
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::new(&RunId::from_random(0));
        assert_eq!(names.give("web", "-0"), "np-aaaaaa-web-0");
        assert_eq!(names.give("web", "-0"), "np-aaaaaa-web-2-0");
        assert_eq!(names.give("WEB", "-0"), "np-aaaaaa-web-3-0");
        let long = "w".repeat(80);
        assert_eq!(names.give(&long, "-0").len(), 63);
        assert_eq!(names.give(&long, "-0").len(), 63);
    }
}
