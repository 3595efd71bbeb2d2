//! The grid of a table: columns are destinations, rows are sources.

use std::collections::HashSet;

use super::{
    node::{Node, NodeKind, Style},
    reader::{Reader, Word},
    scope::Scope,
    source::Span,
};
use crate::model::Connectivity;

/// A cell that claims something.
pub(super) struct Cell {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) expect: Connectivity,
    pub(super) span: Span,
}

/// Reads `rows`. None, and mistakes, where it is no grid.
pub(super) fn read_cells(reader: &mut Reader, scope: &Scope, node: &Node) -> Option<Vec<Cell>> {
    if !matches!(node.kind, NodeKind::Scalar { style: Style::Literal, .. }) {
        let message = format!("expected a block of lines, found {}", node.describe());
        reader.mistake(&node.span, message).help("write `rows: |`, and the grid below it");
        return None;
    }
    let before = reader.mistakes.len();
    let mut lines = grid(reader, node).into_iter();
    let Some(columns) = lines.next() else {
        reader.mistake(&node.span, "this table is empty");
        return None;
    };
    let mut seen: HashSet<&str> = HashSet::new();
    for column in &columns {
        if !seen.insert(&column.text) {
            reader.mistake(&column.span, format!("the column `{}` is here twice", column.text));
        } else {
            scope.check_peer(reader, column);
        }
    }
    let mut cells = Vec::new();
    let mut rows: HashSet<String> = HashSet::new();
    for line in lines {
        let Some((row, found)) = line.split_first() else { continue };
        if !rows.insert(row.text.clone()) {
            reader.mistake(&row.span, format!("the row `{}` is here twice", row.text));
        } else {
            scope.check_source(reader, row);
        }
        check_width(reader, row, found, columns.len());
        for (cell, column) in found.iter().zip(&columns) {
            cells.extend(read_cell(reader, scope, row, column, cell));
        }
        if scope.too_many(reader, cells.len(), &node.span) {
            return None;
        }
    }
    if reader.mistakes.len() > before {
        return None;
    }
    if cells.is_empty() {
        reader.mistake(&node.span, "this table claims nothing");
        return None;
    }
    Some(cells)
}

fn check_width(reader: &mut Reader, row: &Word, cells: &[Word], columns: usize) {
    if let Some(extra) = cells.get(columns) {
        let message = format!("the row `{}` has more cells than columns ({columns})", row.text);
        reader.mistake(&extra.span, message);
    } else if cells.len() < columns {
        let end = cells.last().unwrap_or(row).span.end;
        let missing = columns - cells.len();
        let message = format!("the row `{}` lacks {missing} of {columns} cells", row.text);
        reader.mistake(&(end..end), message).help("what isn't claimed is written `-`");
    }
}

fn read_cell(
    reader: &mut Reader,
    scope: &Scope,
    row: &Word,
    column: &Word,
    cell: &Word,
) -> Option<Cell> {
    let expect = match cell.text.as_str() {
        "-" => return None,
        "." => Connectivity::Allowed,
        "X" => Connectivity::Blocked,
        text => {
            let message = format!("`{text}` is no cell");
            let meant = (text == "x").then_some("X");
            reader
                .mistake(&cell.span, message)
                .did_you_mean(meant)
                .help("`.` is allow, `X` is deny, `-` is not claimed");
            return None;
        }
    };
    if scope.same_pod(&row.text, &column.text) {
        reader.mistake(&cell.span, "a pod can always reach itself").did_you_mean(Some("-"));
        return None;
    }
    Some(Cell { from: row.text.clone(), to: column.text.clone(), expect, span: cell.span.clone() })
}

/// The words of each line that is neither blank nor a comment, at their places in the file.
fn grid(reader: &Reader, node: &Node) -> Vec<Vec<Word>> {
    let source = &reader.source;
    if node.raw().is_none_or(|text| text.trim().is_empty()) {
        return Vec::new();
    }
    // With an anchor or a tag the node begins on the line of its key.
    let header = source.text[node.span.clone()].starts_with(['&', '!', '|']);
    let first = source.line_of(node.span.start) + usize::from(header);
    let last = source.line_of(node.span.end);
    let mut lines = Vec::new();
    for line in first..=last {
        let place = source.line(line);
        let place = place.start..place.end.min(node.span.end);
        let Some(text) = source.text.get(place.clone()) else { continue };
        let words: Vec<Word> = text
            .split([' ', '\t'])
            .scan(place.start, |start, word| {
                let span = *start..*start + word.len();
                *start = span.end + 1;
                Some(Word { text: word.to_owned(), span })
            })
            .filter(|word| !word.text.is_empty())
            .collect();
        if words.first().is_some_and(|first| !first.text.starts_with('#')) {
            lines.push(words);
        }
    }
    lines
}
