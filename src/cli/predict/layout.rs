//! Predictions as tables and graphs.

use std::fmt::Write;

use super::{
    super::workloads::{Asked, Row, cells, in_family, letter, ports_of},
    claims::Judged,
};
use crate::policy::{Compiled, Outcome};

/// Rows dial, columns answer. Columns are numbered as the rows are, so that a wide matrix
/// stays readable.
pub(super) fn table(all: &Compiled, rows: &[Row], asked: &Asked) -> String {
    let name = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let digits = rows.len().to_string().len();
    let mut text = format!("{:>digits$} {:<name$} ", "", "");
    for number in 1..=rows.len() {
        let _ = write!(text, " {number:>digits$}");
    }
    text.push('\n');
    for (index, from) in rows.iter().enumerate() {
        let number = index + 1;
        let _ = write!(text, "{number:>digits$} {:<name$} ", from.name);
        for to in rows {
            let alone = from.pod == to.pod && from.twin.is_none();
            let letter = if alone { '-' } else { letter(&cells(all, from, to, asked)) };
            let _ = write!(text, " {letter:>digits$}");
        }
        text.push('\n');
    }
    let families = asked.families.each();
    let named = |row: &Row| {
        let ports = ports_of(row, &asked.ports);
        let each = ports
            .iter()
            .flat_map(|port| families.iter().map(move |family| in_family(port, *family)));
        each.collect::<Vec<_>>().join(", ")
    };
    text.push_str(
        "\nrows dial, columns answer; . allowed, X denied, ~ some ports, ? can't be told\n",
    );
    text.push_str("asked of each:\n");
    for (index, row) in rows.iter().enumerate() {
        let number = index + 1;
        let declared =
            if row.ports.is_empty() && asked.ports.is_empty() { " (declares none)" } else { "" };
        let _ = writeln!(text, "{number:>digits$} {:<name$}  {}{declared}", row.name, named(row));
    }
    text
}

/// A graph for Graphviz.
pub(super) fn dot(all: &Compiled, rows: &[Row], asked: &Asked) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = "digraph reachability {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for row in rows {
        let _ = writeln!(text, "  {};", quote(&row.name));
    }
    for from in rows {
        for to in rows {
            if from.pod == to.pod && from.twin.is_none() {
                continue;
            }
            let cells = cells(all, from, to, asked);
            for (outcome, style) in [(Outcome::Allowed, "solid"), (Outcome::Undetermined, "dashed")]
            {
                let open: Vec<_> = cells
                    .iter()
                    .filter(|cell| cell.decision.outcome == outcome)
                    .map(super::super::workloads::Cell::name)
                    .collect();
                if !open.is_empty() {
                    let _ = writeln!(
                        text,
                        "  {} -> {} [label={}, style={style}];",
                        quote(&from.name),
                        quote(&to.name),
                        quote(&open.join("\\n")).replace("\\\\n", "\\n"),
                    );
                }
            }
        }
    }
    text.push_str("}\n");
    text
}

/// A line per claim, then the count.
pub(super) fn claims(judged: &[Judged]) -> String {
    let mut text = String::new();
    let id = judged.iter().map(|one| one.id.chars().count()).max().unwrap_or(0);
    for one in judged {
        let mark = match one.holds() {
            Some(true) => "ok",
            Some(false) => "NOT",
            None => "?",
        };
        let _ = writeln!(
            text,
            "{mark:<4}{:<id$}  expect {:<5}  {:<12}  {}",
            one.id,
            one.expect.to_string(),
            one.outcome.to_string(),
            one.cause,
        );
    }
    let count = |wanted| judged.iter().filter(|one| one.holds() == wanted).count();
    let _ = writeln!(
        text,
        "{} hold, {} do not, {} can't be told (predicted, nothing was sent)",
        count(Some(true)),
        count(Some(false)),
        count(None)
    );
    text
}
