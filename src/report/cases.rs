//! The table of a run's cases, a line each.

use anstyle::Style;

use super::{
    Report, ReportedCase,
    layout::{self, Cell},
    summary::duration,
    text::verdict_style,
};
use crate::verdict::{AnsweredBy, Observation, Reason, Verdict};

/// The table of all cases, each with its suite where there are several.
pub(super) fn table(report: &Report, width: usize) -> String {
    let whole = rows(report, false);
    let rows = if layout::fits(&whole, width) { whole } else { rows(report, true) };
    layout::table(&rows, &[0, 1, 2], width)
}

/// The table's rows; in `short` words where the terminal is too narrow for all of them.
fn rows(report: &Report, short: bool) -> Vec<Vec<Cell>> {
    let hollow = report.proves_nothing();
    let several = report.cases.iter().any(|case| case.info.suite != report.cases[0].info.suite);
    let families = report.cases.iter().any(|case| case.info.family != report.cases[0].info.family);
    let expected = if short { "expect" } else { "expected" };
    let header = ["case", "from", "to", "port", expected, "observed", "verdict", "time"];
    let dim = Style::new().dimmed();
    let mut rows: Vec<Vec<Cell>> =
        vec![header.map(|word| Cell { text: word.to_owned(), style: dim }).into()];
    for case in &report.cases {
        let info = &case.info;
        let outcome = case.outcome.as_ref();
        // The names of both ends, which one of many cases has in its own, stand beside it.
        let ends = format!("-{}-{}", info.from, info.to);
        let name = info.name.strip_suffix(&ends).filter(|_| short).unwrap_or(&info.name);
        let name = match info.step.as_str() {
            crate::suite::BASE => name.to_owned(),
            step => format!("{step}/{name}"),
        };
        let name = if several { format!("{}/{name}", info.suite) } else { name };
        let port =
            if families { format!("{} {}", info.port, info.family) } else { info.port.to_string() };
        let seen = match outcome.and_then(|outcome| outcome.seen.as_ref()) {
            Some(Observation::Connected { by: AnsweredBy::Nobody }) if short => "handshake".into(),
            Some(seen) => seen.to_string(),
            None => "-".to_owned(),
        };
        rows.push(vec![
            name.into(),
            info.from.as_str().into(),
            info.to.as_str().into(),
            port.into(),
            info.expect.to_string().into(),
            seen.into(),
            verdict(case, hollow),
            outcome.map_or_else(|| "-".to_owned(), |outcome| duration(outcome.took)).into(),
        ]);
    }
    rows
}

/// A verdict's cell; a pass that proves less than a pass says so.
fn verdict(case: &ReportedCase, hollow: bool) -> Cell {
    let verdict = case.verdict();
    let outcome = case.outcome.as_ref().filter(|_| verdict == Verdict::Pass);
    let weak = match outcome {
        Some(outcome) if hollow || outcome.proves_nothing => Some("proves nothing"),
        Some(outcome) if matches!(outcome.judgement.reason, Reason::CauseUnproven { .. }) => {
            Some("pass, unproven")
        }
        _ => None,
    };
    match weak {
        Some(text) => Cell { text: text.to_owned(), style: verdict_style(Verdict::NotRun) },
        None => Cell { text: verdict.to_string(), style: verdict_style(verdict) },
    }
}
