//! `--output json`: one record per line, flushed, so that a killed run leaves what it saw.

use std::io::{self, Write};

use super::{Report, Writer};
use crate::event::Record;

/// Writes the event stream.
pub struct JsonWriter<W> {
    out: W,
}

impl<W: Write> JsonWriter<W> {
    /// Writes to `out`, a line at a time.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Writer for JsonWriter<W> {
    fn name(&self) -> &str {
        "json"
    }

    fn record(&mut self, record: &Record, _report: &Report) -> io::Result<()> {
        self.out.write_all(&line(record)?)?;
        self.out.flush()
    }

    fn finish(&mut self, _report: &Report) -> io::Result<()> {
        self.out.flush()
    }
}

/// A record as a line.
pub(super) fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}
