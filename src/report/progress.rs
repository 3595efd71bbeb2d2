//! A line that lives, for whoever waits: what is being done, and how far it is.

use std::{io, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Enforcement, Report, Writer, summary, terminal::Terminal};
use crate::event::{Event, Record, Stage};

/// How often a second, at most.
const REDRAWN: u8 = 20;

/// Draws on standard error where that is a terminal; elsewhere it is quiet.
///
/// It must be fed before any writer that writes to the same terminal, so that its line
/// is gone when they write.
pub struct ProgressWriter {
    line: ProgressBar,
}

impl Default for ProgressWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressWriter {
    /// Shows nothing before the first record.
    pub fn new() -> Self {
        Self { line: ProgressBar::hidden() }
    }

    fn say(&mut self, text: String) {
        if self.line.is_hidden() {
            let Some(terminal) = Terminal::open() else { return };
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal), REDRAWN);
            self.line = ProgressBar::with_draw_target(None, target);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                self.line.set_style(style);
            }
            self.line.enable_steady_tick(Duration::from_millis(120));
        }
        self.line.set_message(text);
    }
}

impl Writer for ProgressWriter {
    fn name(&self) -> &str {
        "progress"
    }

    fn record(&mut self, record: &Record, report: &Report) -> io::Result<()> {
        let open = match report.enforcement() {
            Enforcement::Not { .. } => " · the CNI does not enforce",
            Enforcement::Partly { .. } => " · the CNI enforces only partly",
            _ => "",
        };
        match &record.event {
            Event::Progress { stage, suite, done, total } => {
                let suite = suite.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
                self.say(format!("{suite}{} {done}/{total}{open}", doing(*stage)));
            }
            Event::Round { suite, step, number, as_expected, total, counted } => {
                let step =
                    if step == crate::suite::BASE { String::new() } else { format!(" {step}") };
                let early = if *counted { "" } else { " · waiting for the change to arrive" };
                self.say(format!(
                    "{suite}{step}: round {number}, {as_expected}/{total} as expected{early}{open}"
                ));
            }
            Event::Interrupted { .. } | Event::Aborted { .. } => {
                let ending = summary::ending(report).unwrap_or_default();
                self.say(format!("{ending}; removing what the run created"));
            }
            Event::Changed { suite, step, change } => {
                self.say(format!("{suite} {step}: {change}{open}"));
            }
            Event::RunFinished { .. } => self.line.finish_and_clear(),
            Event::RunStarted { .. }
            | Event::Warning { .. }
            | Event::Canary { .. }
            | Event::CaseJudged { .. }
            | Event::Undone { .. }
            | Event::Swept { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self, _report: &Report) -> io::Result<()> {
        self.line.finish_and_clear();
        Ok(())
    }
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Preflight => "looking at the cluster",
        Stage::Create => "creating",
        Stage::Ready => "pods ready",
        Stage::Sessions => "sessions open",
        Stage::Canary => "canaries decided",
        Stage::Sweep => "removing",
    }
}
