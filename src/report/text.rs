//! `--output text`: for people, at the end of a run.
//!
//! The first line names context and server as soon as they are known. All else waits for
//! the end, because whether the CNI enforces stands before everything else, and the
//! table stands whole.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};

use super::{
    Enforcement, Report, ReportedCase, Warning, Writer, block, cases,
    enforcement::places,
    layout::{paint, wrap},
    summary::{self, duration},
};
use crate::{
    event::{Canary, CanaryState, Event, Record},
    verdict::{Reason, Verdict},
};

/// Paragraphs aren't wider than this, however wide the terminal is.
const WIDEST_PARAGRAPH: usize = 100;

/// Cases that get a block of their own; more than anybody reads.
const MOST_BLOCKS: usize = 25;

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

/// What the canaries say, in plain words; it stands before everything else.
pub(super) fn verdict_on_cni(enforcement: &Enforcement, width: usize) -> String {
    let loud = |headline: &str, text: &str| {
        let headline = paint(headline, verdict_style(Verdict::Fail));
        format!("{headline}\n{}\n", wrap(text, width).join("\n"))
    };
    match enforcement {
        Enforcement::Not { nodes, open } => loud(
            "THE CNI DOES NOT ENFORCE NETWORKPOLICY.",
            &format!(
                "On {} pods that a policy isolates were still reached{}: {}. The API server \
                 accepts policies, and they change nothing. Nothing that passed below proves \
                 anything.\nInstall a CNI that implements NetworkPolicy, or turn its policy \
                 engine on, and run this again.",
                nodes.join(", "),
                tried(open),
                places(open)
            ),
        ),
        Enforcement::Partly { open } => loud(
            "THE CNI ENFORCES NETWORKPOLICY ONLY PARTLY.",
            &format!(
                "Pods that a policy isolates were still reached{}: {}. Policies that rely on it \
                 change nothing there; everything else was seen to be enforced.",
                tried(open),
                places(open)
            ),
        ),
        Enforcement::NotProven { unreached } => {
            let mut what = Vec::new();
            for canary in unreached {
                let word = match &canary.state {
                    CanaryState::NeverReached { seen } => seen.to_string(),
                    CanaryState::Lost { seen } => format!("lost: {seen}"),
                    CanaryState::Proven { .. } | CanaryState::StillOpen { .. } => continue,
                };
                if !what.contains(&word) {
                    what.push(word);
                }
            }
            let lost = |canary: &Canary| matches!(canary.state, CanaryState::Lost { .. });
            let (why, remedy) = if unreached.iter().all(lost) {
                (
                    "its control pods were reached, and then were lost for another reason than a \
                     policy",
                    "Look at the control pods and their nodes, then run again.",
                )
            } else {
                (
                    "its control pods were not reached before they were isolated",
                    "A cluster-wide policy may cover the control pods: exempt their namespace, or \
                     name another one with --control-namespace.",
                )
            };
            notice(
                "not proven:",
                Verdict::Inconclusive,
                &format!(
                    "whether the CNI enforces {}: {why} ({}).",
                    places(unreached),
                    what.join(", ")
                ),
                Some(remedy),
                width,
            )
        }
        Enforcement::Proven { slowest } => {
            format!(
                "The CNI enforces: every canary was reached, then isolated within {}.\n",
                duration(*slowest)
            )
        }
        Enforcement::Untested => String::new(),
    }
}

fn tried(open: &[Canary]) -> String {
    let longest = open.iter().filter_map(|canary| match canary.state {
        CanaryState::StillOpen { tried } => Some(tried),
        _ => None,
    });
    longest.max().map(|tried| format!(" after {}", duration(tried))).unwrap_or_default()
}

fn notice(label: &str, like: Verdict, message: &str, remedy: Option<&str>, width: usize) -> String {
    let text = match remedy {
        Some(remedy) => format!("{label} {message}\n{remedy}"),
        None => format!("{label} {message}"),
    };
    let text = wrap(&text, width).join("\n");
    let rest = text.strip_prefix(label).unwrap_or(&text);
    format!("{}{rest}\n", paint(label, verdict_style(like)))
}

/// A block for everything that isn't a pass: failures first, then what could not be told.
fn blocks(report: &Report, enforcement: &Enforcement, width: usize) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut more = 0;
    let mut groups: BTreeMap<(Verdict, String), Vec<&str>> = BTreeMap::new();
    let alike = alike(report);
    for wanted in [Verdict::Fail, Verdict::Inconclusive, Verdict::NotRun] {
        for case in report.cases.iter().filter(|case| case.verdict() == wanted) {
            match shared_reason(case, enforcement) {
                Some(reason) => groups.entry((wanted, reason)).or_default().push(&case.info.id.0),
                None if follows(case, &alike) => {}
                None if blocks.len() == MOST_BLOCKS => more += 1,
                None => {
                    let Some(outcome) = &case.outcome else { continue };
                    let alike = network(case).and_then(|key| alike.get(&key));
                    let others = alike.map(|ids| &ids[1..]).unwrap_or_default();
                    blocks.push(block::case(case, outcome, enforcement, others, width));
                }
            }
        }
    }
    if more > 0 {
        blocks.push(format!(
            "and {more} more that did not pass; the table has them, and --output json all about \
             them\n"
        ));
    }
    for case in hollow_passes(report, enforcement) {
        let cause = case.outcome.as_ref().and_then(|outcome| outcome.cause.as_ref());
        let Some(cause) = cause else { continue };
        groups.entry((Verdict::Pass, cause.to_string())).or_default().push(&case.info.id.0);
    }
    let groups = groups.iter().rev();
    blocks
        .extend(groups.map(|((verdict, reason), ids)| block::group(*verdict, reason, ids, width)));
    blocks
}

/// Claims that hold although the policies say otherwise, or don't say; not more of them
/// than anybody reads. Where nothing is enforced, what passed proves nothing anyway.
fn hollow_passes<'a>(
    report: &'a Report,
    enforcement: &Enforcement,
) -> impl Iterator<Item = &'a ReportedCase> {
    let most = if matches!(enforcement, Enforcement::Not { .. }) { 0 } else { MOST_BLOCKS };
    let passed = report.cases.iter().filter(|case| case.verdict() == Verdict::Pass);
    let has_cause =
        |case: &&ReportedCase| case.outcome.as_ref().is_some_and(|found| found.cause.is_some());
    passed.filter(has_cause).take(most)
}

/// What the network did to a case rather than a policy: one block serves all cases to
/// which it did the same.
fn network(case: &ReportedCase) -> Option<(Verdict, String)> {
    let outcome = case.outcome.as_ref()?;
    match &outcome.judgement.reason {
        reason @ (Reason::PathDown { .. } | Reason::ControlNotUp { .. }) => {
            Some((outcome.judgement.verdict, reason.to_string()))
        }
        _ => None,
    }
}

/// The ids of the cases to which the network did the same, in order.
fn alike(report: &Report) -> BTreeMap<(Verdict, String), Vec<&str>> {
    let mut alike: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for case in &report.cases {
        if let Some(key) = network(case) {
            alike.entry(key).or_default().push(&case.info.id.0);
        }
    }
    alike
}

/// Whether the block of an earlier case speaks for this one.
fn follows(case: &ReportedCase, alike: &BTreeMap<(Verdict, String), Vec<&str>>) -> bool {
    let first = network(case).and_then(|key| alike.get(&key)?.first());
    first.is_some_and(|first| **first != case.info.id.0)
}

/// The reason of a case about which there is no more to say than that.
fn shared_reason(case: &ReportedCase, enforcement: &Enforcement) -> Option<String> {
    let Some(outcome) = &case.outcome else {
        return Some("the run ended before it was judged".to_owned());
    };
    match (&outcome.judgement.reason, enforcement) {
        (
            reason @ (Reason::NotSettled { .. }
            | Reason::NotAsked { .. }
            | Reason::NotChanged { .. }),
            _,
        ) => Some(reason.to_string()),
        (Reason::Connected { .. }, Enforcement::Not { .. }) => {
            Some("connected, as it must where the CNI enforces nothing".to_owned())
        }
        _ => None,
    }
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
