//! `--output text`: for people, at the end of a run.
//!
//! The first line names context and server as soon as they are known. All else waits for
//! the end, because whether the CNI enforces stands before everything else, and the
//! table stands whole.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{
    Report, Warning, Writer,
    blocks::blocks,
    cases,
    headline::verdict_on_cni,
    layout::{paint, wrap},
    summary::{self, duration},
};
use crate::{
    event::{Event, Record},
    verdict::Verdict,
};

/// Paragraphs aren't wider than this, however wide the terminal is.
const WIDEST_PARAGRAPH: usize = 100;

/// Writes the report for people.
///
/// It paints with ANSI styles; give it an `anstream` stream, which takes them off where
/// they aren't wanted (`NO_COLOR`, pipes, files).
pub struct TextWriter<W> {
    out: W,
    width: Option<usize>,
}

impl<W: Write> TextWriter<W> {
    /// Writes to `out`. `width` is the terminal's; without one nothing is cut short.
    pub fn new(out: W, width: Option<usize>) -> Self {
        Self { out, width }
    }
}

impl<W: Write> Writer for TextWriter<W> {
    fn name(&self) -> &str {
        "text"
    }

    fn record(&mut self, record: &Record, report: &Report) -> io::Result<()> {
        if matches!(record.event, Event::RunStarted { .. }) {
            writeln!(self.out, "{}", head(report))?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        self.out.write_all(body(report, self.width).as_bytes())?;
        self.out.flush()
    }
}

pub(super) fn strong() -> Style {
    Style::new().bold()
}

pub(super) fn verdict_style(verdict: Verdict) -> Style {
    let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
    match verdict {
        Verdict::Pass => color(AnsiColor::Green),
        Verdict::Fail => color(AnsiColor::Red).bold(),
        Verdict::Inconclusive => color(AnsiColor::Yellow).bold(),
        Verdict::NotRun => color(AnsiColor::Yellow),
    }
}

/// `netproof 0.1.0 · run abcdef · context kind-x · https://… · v1.36.0 · node-1, node-2`
pub(super) fn head(report: &Report) -> String {
    let Some(head) = &report.head else { return "netproof: the run ended early".to_owned() };
    let cluster = &head.cluster;
    let mut parts = vec![
        format!("netproof {}", head.netproof),
        format!("context {}", cluster.context),
        cluster.server.clone(),
    ];
    parts.extend((!cluster.version.is_empty()).then(|| cluster.version.clone()));
    parts.push(format!("run {}", head.run));
    parts.extend((!cluster.nodes.is_empty()).then(|| cluster.nodes.join(", ")));
    parts.extend(head.repetition.map(|repetition| match repetition.of {
        Some(of) => format!("repetition {} of {of}", repetition.number),
        None => format!("repetition {}", repetition.number),
    }));
    parts.join(" · ")
}

/// Everything after the first line.
fn body(report: &Report, width: Option<usize>) -> String {
    let paragraph = width.unwrap_or(WIDEST_PARAGRAPH).clamp(20, WIDEST_PARAGRAPH);
    let enforcement = report.enforcement();
    let mut sections = vec![verdict_on_cni(&enforcement, paragraph)];
    sections.extend(report.warnings.iter().map(|warning| self::warning(warning, paragraph)));
    if !report.cases.is_empty() {
        sections.push(cases::table(report, width.unwrap_or(usize::MAX)));
    }
    sections.extend(blocks(report, &enforcement, paragraph));
    sections.push(stopped(report, paragraph));
    sections.push(left_behind(report, paragraph));
    let mut end = String::new();
    if let Some(latency) = slowest_latency(report) {
        end.push_str(&latency);
    }
    if let Some(ending) = summary::ending(report) {
        end.push_str(&format!("{}\n", paint(&ending, verdict_style(Verdict::Inconclusive))));
    }
    end.push_str(&format!("{}\n", paint(&summary::line(report), strong())));
    sections.push(end);
    sections.retain(|section| !section.is_empty());
    format!("\n{}", sections.join("\n"))
}

/// What a reader should know.
pub(super) fn warning(warning: &Warning, width: usize) -> String {
    notice("warning:", Verdict::NotRun, &warning.message, warning.remedy.as_deref(), width)
}

/// Why the run could not go on, if it couldn't.
pub(super) fn stopped(report: &Report, width: usize) -> String {
    let aborted = report.aborted.as_ref();
    aborted.map_or_else(String::new, |aborted| {
        notice("stopped:", Verdict::Fail, &aborted.message, aborted.remedy.as_deref(), width)
    })
}

/// A paragraph that begins with a word in colour.
pub(super) fn notice(
    label: &str,
    like: Verdict,
    message: &str,
    remedy: Option<&str>,
    width: usize,
) -> String {
    let text = match remedy {
        Some(remedy) => format!("{label} {message}\n{remedy}"),
        None => format!("{label} {message}"),
    };
    let text = wrap(&text, width).join("\n");
    let rest = text.strip_prefix(label).unwrap_or(&text);
    format!("{}{rest}\n", paint(label, verdict_style(like)))
}

/// What of the run's objects is still in the cluster.
pub(super) fn left_behind(report: &Report, width: usize) -> String {
    let Some(swept) = report.swept.as_ref().filter(|swept| !swept.left.is_empty()) else {
        return String::new();
    };
    let list = swept.left.join(", ");
    if swept.kept {
        notice("kept:", Verdict::NotRun, &list, Some("`netproof cleanup` removes it."), width)
    } else {
        let remedy = "`netproof cleanup` tries again.";
        notice("left behind:", Verdict::Inconclusive, &list, Some(remedy), width)
    }
}

/// The longest time that the cluster took to comply, if any change was seen to arrive.
fn slowest_latency(report: &Report) -> Option<String> {
    let cases = report.cases.iter().filter(|case| case.verdict() == Verdict::Pass);
    let latencies = cases.filter_map(|case| Some((case.outcome.as_ref()?.latency?, case)));
    let (latency, case) = latencies.max_by_key(|(latency, _)| *latency)?;
    Some(format!("slowest to comply: {} after {}\n", case.info.id, duration(latency)))
}

#[cfg(test)]
mod tests;
