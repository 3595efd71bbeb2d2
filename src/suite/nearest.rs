//! The nearest valid word to a misspelt one.

/// The candidate that `word` most likely stands for, if one is near enough: a third of
/// its letters may differ, and upper or lower case counts for nothing.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Distances cost the product of both lengths; no valid word is this long.
    if word.len() > 128 {
        return None;
    }
    /// So many candidates are looked at: enough for people, bounded for generated files.
    const MOST: usize = 500;
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .take(MOST)
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::osa_distance(&lower, &other);
            // A word of one or two letters is one edit from every other; a prefix says more.
            let near = if word.chars().count() < 3 { distance == 0 } else { distance <= allowed };
            let begins = lower.len() >= 3 && other.starts_with(&lower)
                || other.len() >= 3 && lower.starts_with(&other);
            (near || begins).then_some((if near { distance } else { allowed + 1 }, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words for a message: `` `a`, `b` and `c` ``.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) if rest.len() < 24 => format!("{} and {last}", rest.join(", ")),
        Some((_, rest)) => format!("{} and {} more", rest[..24].join(", "), rest.len() + 1 - 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_far_words_are_not_offered() {
        let fields = ["name", "from", "to", "port", "expect", "within", "evidence", "reachedBy"];
        for (word, expected) in [
            ("expects", Some("expect")),
            ("exepct", Some("expect")),
            ("Expect", Some("expect")),
            ("reached_by", Some("reachedBy")),
            ("reachedby", Some("reachedBy")),
            ("evidance", Some("evidence")),
            ("form", Some("from")),
            ("ports", Some("port")),
            ("pass", None),
            ("exitcode", None),
            ("x", None),
            ("TO", Some("to")),
            ("", None),
        ] {
            assert_eq!(nearest(word, fields), expected, "nearest to {word:?}");
        }
    }

    #[test]
    fn words_are_listed_as_a_sentence_lists_them() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed([]), "nothing");
    }
}
