//! The answer to a question that claims nothing: open, blocked, or can't be told.

use std::io::{self, Write};

use super::{
    Report, ReportedCase, Writer, block, headline,
    layout::paint,
    summary,
    text::{self, strong, verdict_style},
};
use crate::{
    event::{Event, Record},
    model::Connectivity,
    verdict::{Reason, Verdict},
};

/// Writes what was found out, for people.
pub struct AnswerWriter<W> {
    out: W,
    width: usize,
}

/// Paragraphs aren't wider than this, however wide the terminal is.
const WIDEST: usize = 100;

impl<W: Write> AnswerWriter<W> {
    /// Writes to `out`; `width` is the terminal's.
    pub fn new(out: W, width: Option<usize>) -> Self {
        Self { out, width: width.unwrap_or(WIDEST).clamp(20, WIDEST) }
    }
}

impl ReportedCase {
    /// Whether it connected or was blocked, where that is known: a block counts only with
    /// all of its controls up.
    pub fn answer(&self) -> Option<Connectivity> {
        match &self.outcome.as_ref()?.judgement.reason {
            Reason::Answered { .. }
            | Reason::ForeignAnswered { .. }
            | Reason::HandshakeOnly
            | Reason::Connected { .. } => Some(Connectivity::Allowed),
            Reason::Dropped | Reason::Rejected { .. } | Reason::Blocked { .. } => {
                Some(Connectivity::Blocked)
            }
            _ => None,
        }
    }
}

impl<W: Write> Writer for AnswerWriter<W> {
    fn name(&self) -> &str {
        "answer"
    }

    fn record(&mut self, record: &Record, report: &Report) -> io::Result<()> {
        if matches!(record.event, Event::RunStarted { .. }) {
            writeln!(self.out, "{}", text::head(report))?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        let enforcement = report.enforcement();
        let on_cni = headline::verdict_on_cni(&enforcement, self.width);
        let mut sections = vec![on_cni];
        sections.extend(report.warnings.iter().map(|warning| text::warning(warning, self.width)));
        for case in &report.cases {
            sections.push(self.answer(case));
        }
        sections.push(text::stopped(report, self.width));
        sections.push(text::left_behind(report, self.width));
        sections.push(summary::ending(report).map(|end| format!("{end}\n")).unwrap_or_default());
        sections.retain(|section| !section.is_empty());
        write!(self.out, "\n{}", sections.join("\n"))?;
        self.out.flush()
    }
}

impl<W> AnswerWriter<W> {
    fn answer(&self, case: &ReportedCase) -> String {
        let info = &case.info;
        let (word, style) = match case.answer() {
            Some(Connectivity::Allowed) => ("open", verdict_style(Verdict::Pass)),
            Some(Connectivity::Blocked) => ("blocked", verdict_style(Verdict::Fail)),
            None => ("can't tell", verdict_style(Verdict::Inconclusive)),
        };
        let question =
            format!("{} to {} on {} over {}", info.from, info.to, info.port, info.family);
        let mut text = format!("{}  {}\n", paint(word, style), paint(&question, strong()));
        let Some(outcome) = &case.outcome else { return text };
        text.push_str(&match case.answer() {
            Some(_) => block::cause(outcome, self.width),
            None => block::why(outcome, self.width),
        });
        text.push_str(&block::facts(outcome, self.width));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{mixed, records},
        *,
    };

    #[test]
    fn what_was_seen_is_answered_and_no_claim_is_judged() {
        let mut report = Report::default();
        records(mixed()).iter().for_each(|record| report.apply(record));
        let mut out = Vec::new();
        AnswerWriter::new(&mut out, Some(80)).finish(&report).expect("written");
        let text = anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string();
        for part in ["open  web to api on 8080/tcp over ipv4", "can't tell  "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("FAIL"), "{text}");
    }
}
