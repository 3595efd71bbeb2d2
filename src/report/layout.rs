//! Text that fits: tables and paragraphs by the width that characters take on a terminal.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// No column gets narrower than this to make a table fit.
const NARROWEST: usize = 6;

/// A cell: its text and how it is painted.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// Whether the table of these rows needs no more than `width`.
pub(super) fn fits(rows: &[Vec<Cell>], width: usize) -> bool {
    let widths = widths(rows);
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) <= width
}

/// What each column needs.
fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let needs = |column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell: &Cell| cell.text.width()).max().unwrap_or_default()
    };
    (0..columns).map(needs).collect()
}

/// Lays out rows in columns with two spaces between them. `flexible` columns are cut
/// short, the widest first, where the table would be wider than `width`.
pub(super) fn table(rows: &[Vec<Cell>], flexible: &[usize], width: usize) -> String {
    let mut widths = widths(rows);
    loop {
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let widest = flexible
            .iter()
            .copied()
            .filter(|&column| widths.get(column).is_some_and(|width| *width > NARROWEST))
            .max_by_key(|&column| (widths[column], std::cmp::Reverse(column)));
        match widest {
            Some(column) if total > width => widths[column] -= 1,
            _ => break,
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        let mut blanks = 0;
        for (cell, width) in row.iter().zip(&widths) {
            let shown = cut(&cell.text, *width);
            line.extend(std::iter::repeat_n(' ', blanks));
            line.push_str(&paint(&shown, cell.style));
            blanks = width - shown.width() + 2;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The text in its style.
pub(super) fn paint(text: &str, style: Style) -> String {
    if style.is_plain() || text.is_empty() {
        text.to_owned()
    } else {
        format!("{style}{text}{style:#}")
    }
}

/// The text, or as much of it as fits before an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut room = width.saturating_sub(1);
    for character in text.chars() {
        let wide = character.width().unwrap_or_default();
        if wide > room {
            break;
        }
        room -= wide;
        shown.push(character);
    }
    shown.push('…');
    shown
}

/// A labelled paragraph: the label in a column of ten, the text wrapped beside it.
pub(super) fn field(label: &str, text: &str, width: usize) -> String {
    const INDENT: usize = 12;
    let mut lines = String::new();
    for (number, line) in wrap(text, width.saturating_sub(INDENT)).iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        lines.push_str(&format!("  {label:<10}{line}\n"));
    }
    lines
}

/// Breaks a text at spaces. A word that is longer than a line stands alone and whole:
/// it is most often a name that somebody wants to copy.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shrinks_its_widest_flexible_column() {
        let rows = [
            vec!["case".into(), "to".into(), "time".into()],
            vec!["größer-als-gedacht".into(), "日本語".into(), "12ms".into()],
        ];
        insta::assert_snapshot!(table(&rows, &[0, 1], 80), @r"
        case                to      time
        größer-als-gedacht  日本語  12ms
        ");
        insta::assert_snapshot!(table(&rows, &[0, 1], 24), @r"
        case        to      time
        größer-al…  日本語  12ms
        ");
    }

    #[test]
    fn words_are_wrapped_and_never_broken() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a averylongword b", 5), ["a", "averylongword", "b"]);
        assert_eq!(wrap("one\ntwo", 20), ["one", "two"]);
    }
}
