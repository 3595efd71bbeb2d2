//! Tables whose columns are indented deeper than their rows.
//!
//! YAML takes a block's indentation from its first line, so a table that is aligned for
//! people would end after its columns. One space of that line, the one at which the rows
//! begin, is held by a character that is none, until the parser has passed. The number of
//! characters stays the same, and so do all places.

use std::borrow::Cow;

/// Stands for the space that keeps a table's first line from setting its indentation: a
/// character of Unicode's private use, which no suite has a use for.
const HELD_SPACE: char = '\u{e000}';

/// A line that isn't blank.
struct Line<'t> {
    start: usize,
    indentation: usize,
    text: &'t str,
}

/// The text with its tables' first lines as far left as their rows.
pub(super) fn level_tables(text: &str) -> Cow<'_, str> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|text| {
        start += text.len();
        let indentation = text.len() - text.trim_start_matches(' ').len();
        Line { start: start - text.len(), indentation, text }
    });
    let lines: Vec<Line<'_>> = lines.filter(|line| !line.text.trim().is_empty()).collect();
    let mut held: Vec<usize> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(parent) = table_key(line.text) else { continue };
        let mut block =
            lines[index + 1..].iter().take_while(|line| line.indentation > parent).peekable();
        let Some(first) = block.next() else { continue };
        if let Some(least) = block.map(|line| line.indentation).min()
            && least < first.indentation
        {
            held.push(first.start + least);
        }
    }
    if held.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut levelled = String::with_capacity(text.len() + 2 * held.len());
    let mut from = 0;
    for byte in held {
        levelled.push_str(&text[from..byte]);
        levelled.push(HELD_SPACE);
        from = byte + 1;
    }
    levelled.push_str(&text[from..]);
    Cow::Owned(levelled)
}

/// A scalar as it stood in the file.
pub(super) fn restore_spaces(text: &str) -> String {
    text.replace(HELD_SPACE, " ")
}

/// The indentation of `rows: |`, where the line is that.
fn table_key(line: &str) -> Option<usize> {
    let key = line.trim_start_matches([' ', '-']);
    let rest = key.strip_prefix("rows")?.trim_start().strip_prefix(':')?;
    let after = rest.trim_start().strip_prefix('|')?.trim_start_matches(['-', '+']).trim();
    (rest.starts_with(' ') && (after.is_empty() || after.starts_with('#')))
        .then_some(line.len() - key.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_line_deeper_than_its_rows_is_levelled() {
        for (before, after) in [
            ("rows: |\n    a\n  b -\n", "rows: |\n  _ a\n  b -\n"),
            ("- rows: |-  # why\n\n     a\n    b -\n", "- rows: |-  # why\n\n    _a\n    b -\n"),
            ("rows: |\n  a\n  b -\n", "rows: |\n  a\n  b -\n"),
            ("rows: |\n  a\n    b -\n", "rows: |\n  a\n    b -\n"),
            ("rows: |2\n    a\n  b -\n", "rows: |2\n    a\n  b -\n"),
            ("rows: >\n    a\n  b -\n", "rows: >\n    a\n  b -\n"),
            ("other: |\n    a\n  b -\n", "other: |\n    a\n  b -\n"),
            ("  rows: |\n    a\n  b: c\n", "  rows: |\n    a\n  b: c\n"),
            ("rows: |", "rows: |"),
        ] {
            let levelled = level_tables(before).replace(HELD_SPACE, "_");
            assert_eq!(levelled, after, "{before:?}");
            assert_eq!(restore_spaces(&level_tables(before)), before, "and back");
        }
    }
}
