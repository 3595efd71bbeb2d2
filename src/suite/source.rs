//! The text of a file, and places in it.

use std::ops::Range;

use super::types::Location;

/// A part of a file's text, in bytes.
pub(super) type Span = Range<usize>;

/// A file that was read: what mistakes point into.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as messages call it.
    pub(super) name: String,
    /// What stands in it.
    pub(super) text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes a text in; a byte order mark at its front is dropped.
    pub(super) fn new(name: impl Into<String>, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(newline, _)| newline + 1))
            .collect();
        Self { name: name.into(), text, line_starts }
    }

    /// The index from 0 of the line that holds the byte.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The part of the text that the line with this index takes, without its end.
    pub(super) fn line(&self, index: usize) -> Span {
        let start = self.line_starts.get(index).copied().unwrap_or(self.text.len());
        let end = self.line_starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// The place of a byte as people count: lines and columns from 1.
    pub(super) fn location(&self, offset: usize) -> Location {
        let line = self.line_of(offset);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Location { file: self.name.clone(), line: line + 1, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let source = Source::new("a.yaml", "\u{feff}é: x\r\nb: y\n");
        for (offset, expected) in [(0, "a.yaml:1:1"), (4, "a.yaml:1:4"), (7, "a.yaml:2:1")] {
            assert_eq!(source.location(offset).to_string(), expected, "byte {offset}");
        }
        assert_eq!(&source.text[source.line(0)], "é: x", "the line's end is no part of it");
        assert_eq!(&source.text[source.line(2)], "", "the last line is empty");
    }
}
