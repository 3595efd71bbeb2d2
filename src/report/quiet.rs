//! `--output quiet`: the summary line and nothing else.

use std::io::{self, Write};

use super::{Enforcement, Report, Writer, summary};
use crate::event::Record;

/// Writes the summary line.
pub struct QuietWriter<W> {
    out: W,
}

impl<W: Write> QuietWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Writer for QuietWriter<W> {
    fn name(&self) -> &str {
        "quiet"
    }

    fn record(&mut self, _record: &Record, _report: &Report) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        let note = match report.enforcement() {
            Enforcement::Not { .. } => "; the CNI does not enforce NetworkPolicy",
            Enforcement::Partly { .. } => "; the CNI enforces NetworkPolicy only partly",
            _ => "",
        };
        let ending = summary::ending(report).map(|text| format!("; {text}")).unwrap_or_default();
        writeln!(self.out, "{}{note}{ending}", summary::line(report))?;
        self.out.flush()
    }
}
