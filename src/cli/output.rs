//! What a run prints, and the files that it writes beside.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::complain;
use crate::report::{
    FileFormat, JsonWriter, ProgressWriter, QuietWriter, ReportFile, TextWriter, Writer,
};

/// What a run prints, and the files that it writes beside.
#[derive(Debug, Args)]
#[command(next_help_heading = "What it says")]
pub(super) struct OutputArgs {
    /// What to print on standard output.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
    /// Write a report to a file, too: junit=PATH or json=PATH. May be given several times.
    /// The file is whole at every moment; until the run has ended it says that it is
    /// incomplete, also if the run is killed.
    #[arg(long = "report", value_name = "KIND=PATH")]
    reports: Vec<ReportPath>,
}

/// A report in a file.
#[derive(Clone, Debug)]
struct ReportPath {
    format: FileFormat,
    path: PathBuf,
}

impl std::str::FromStr for ReportPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = match text.split_once('=').map(|(kind, path)| (kind, path.is_empty())) {
            Some(("junit", false)) => FileFormat::Junit,
            Some(("json", false)) => FileFormat::Json,
            _ => return Err("write it as junit=PATH or json=PATH".to_owned()),
        };
        let path = text.split_once('=').map(|(_, path)| PathBuf::from(path)).unwrap_or_default();
        Ok(Self { format, path })
    }
}

/// What stands on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A table and what a person needs to know.
    Text,
    /// Every event as a line of JSON.
    Json,
    /// The last line only.
    Quiet,
}

impl OutputArgs {
    /// The files. `None` if one can't be written, which was said.
    pub(super) fn files(&self) -> Option<Vec<ReportFile>> {
        let mut files = Vec::new();
        for ReportPath { format, path } in &self.reports {
            match ReportFile::create(*format, path) {
                Ok(file) => files.push(file),
                Err(error) => {
                    let remedy = "name a file in a folder that exists and that you may write to";
                    complain(
                        &format!("write the {format} report {}: {error}", path.display()),
                        Some(remedy),
                    );
                    return None;
                }
            }
        }
        Some(files)
    }

    /// What one run is told to.
    pub(super) fn writers(&self, files: &[ReportFile]) -> Vec<Box<dyn Writer + Send>> {
        // Files first: what people or programs see of a run is in its report already.
        let mut writers: Vec<_> = files.iter().map(ReportFile::writer).collect();
        match self.output {
            Output::Text => {
                writers.push(Box::new(ProgressWriter::new()));
                writers.push(Box::new(TextWriter::new(anstream::stdout(), width())));
            }
            Output::Json => writers.push(Box::new(JsonWriter::new(std::io::stdout()))),
            Output::Quiet => writers.push(Box::new(QuietWriter::new(std::io::stdout()))),
        }
        writers
    }
}

/// The terminal's width in columns, where standard output is one.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}
