//! `--report`: a report in a file, always whole: written beside it, then renamed.
//!
//! It stands there from the moment when the run's cases are known, every one of them not
//! run and the whole marked incomplete, and is renewed as verdicts come in. So a run that
//! is killed, by whatever means, leaves a report that says so, and never an older one that
//! looks like its own.

use std::{
    fs::{File, Permissions},
    io::{self, Seek, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use super::{Report, Writer, json, junit};
use crate::event::{Event, Record};

/// The report is renewed no more often than this.
const RENEWED: Duration = Duration::from_secs(1);
/// And takes no more than one part in so many of the time.
const SHARE: u32 = 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Every event as a line of JSON, as `--output json` prints them.
    Json,
    /// JUnit's XML, which CI systems show.
    Junit,
}

/// A report in a file; it holds all repetitions of a run.
#[derive(Clone)]
pub struct ReportFile(Arc<Mutex<State>>);

struct State {
    format: FileFormat,
    path: PathBuf,
    /// The lines so far, in a file without a name.
    lines: Option<File>,
    /// The repetitions that have ended.
    ended: Vec<Report>,
    /// When it was last renewed, and how long that took.
    renewed: Option<(Instant, Duration)>,
}

/// Writes one run to a report file.
struct FileWriter {
    name: String,
    file: ReportFile,
}

impl ReportFile {
    /// A report that will stand at `path`; nothing is changed there before a run has begun.
    ///
    /// # Errors
    /// No file can be made in its folder.
    pub fn create(format: FileFormat, path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        beside(path)?;
        let lines = (format == FileFormat::Json).then(tempfile::tempfile).transpose()?;
        let path = path.to_owned();
        let state = State { format, path, lines, ended: Vec::new(), renewed: None };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// What writes the next run to it.
    pub fn writer(&self) -> Box<dyn Writer + Send> {
        let state = self.state();
        let name = format!("{} report {}", state.format, state.path.display());
        drop(state);
        Box::new(FileWriter { name, file: self.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that takes the place of another once it is whole.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".netproof-report-")
        // The umask takes its part of it, as of any file that a program writes.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        // The name of the temporary file tells nobody anything.
        .map_err(|error| io::Error::from(error.kind()))
}

impl State {
    /// Puts what is known in its place, as a whole.
    fn renew(&mut self, report: &Report) -> io::Result<()> {
        let begun = Instant::now();
        let mut file = beside(&self.path)?;
        match &mut self.lines {
            Some(lines) => {
                lines.rewind()?;
                io::copy(lines, &mut file)?;
            }
            None => {
                let all: Vec<&Report> = self.ended.iter().chain([report]).collect();
                file.write_all(junit::document(&all)?.as_bytes())?;
            }
        }
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        self.renewed = Some((begun, begun.elapsed()));
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.renewed.is_none_or(|(at, took)| at.elapsed() >= RENEWED.max(took * SHARE))
    }
}

impl Writer for FileWriter {
    fn name(&self) -> &str {
        &self.name
    }

    fn record(&mut self, record: &Record, report: &Report) -> io::Result<()> {
        let mut state = self.file.state();
        if let Some(lines) = &mut state.lines {
            lines.seek(io::SeekFrom::End(0))?;
            lines.write_all(&json::line(record)?)?;
        }
        if matches!(record.event, Event::RunStarted { .. }) || state.is_due() {
            state.renew(report)?;
        }
        Ok(())
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        let mut state = self.file.state();
        state.renew(report)?;
        if state.lines.is_none() {
            state.ended.push(report.clone());
        }
        Ok(())
    }
}

impl std::fmt::Display for FileFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Junit => "junit",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::samples::{mixed, records},
        *,
    };

    #[test]
    fn a_report_is_whole_at_every_moment_and_incomplete_until_the_end() {
        for format in [FileFormat::Json, FileFormat::Junit] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("report");
            fs::write(&path, "an older one").expect("write");
            let file = ReportFile::create(format, &path).expect("a file");
            let mut writer = file.writer();
            assert_eq!(fs::read_to_string(&path).expect("a file"), "an older one", "{format}");
            let mut report = Report::default();
            for record in records(mixed()) {
                report.apply(&record);
                writer.record(&record, &report).expect("a record");
                let text = fs::read_to_string(&path).expect("a file");
                assert!(!text.contains("older"), "{format}: what stands there is this run's");
                match format {
                    FileFormat::Json => assert!(text.ends_with('\n'), "{text}"),
                    FileFormat::Junit => assert!(text.contains("</testsuites>"), "{text}"),
                }
                assert!(!is_complete(&text), "{format}: {text}");
            }
            writer.finish(&report).expect("the end");
            let text = fs::read_to_string(&path).expect("a file");
            assert!(is_complete(&text), "{format}: {text}");
            drop((writer, file));
            let left = fs::read_dir(folder.path()).expect("a folder").count();
            assert_eq!(left, 1, "{format}: nothing else is left");
        }
    }

    fn is_complete(text: &str) -> bool {
        text.contains(r#""runFinished","complete":true"#)
            || text.contains(r#"<property name="complete" value="true"/>"#)
    }

    #[test]
    fn repetitions_follow_each_other_in_one_file() {
        for format in [FileFormat::Json, FileFormat::Junit] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("report");
            let file = ReportFile::create(format, &path).expect("a file");
            for number in 1..=2 {
                let mut writer = file.writer();
                let mut report = Report::default();
                for mut record in records(mixed()) {
                    if let Event::RunStarted { repetition, .. } = &mut record.event {
                        *repetition = Some(crate::event::Repetition { number, of: Some(3) });
                    }
                    report.apply(&record);
                    writer.record(&record, &report).expect("a record");
                }
                writer.finish(&report).expect("the end");
            }
            let text = fs::read_to_string(&path).expect("a file");
            match format {
                FileFormat::Json => assert_eq!(text.matches(r#""runStarted""#).count(), 2),
                FileFormat::Junit => {
                    for part in [
                        r#"<testsuite name="netproof (repetition 2)""#,
                        "2 of 3 repetitions ran",
                        r#"classname="shop (repetition 1)""#,
                    ] {
                        assert!(text.contains(part), "{part}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_can_not_be_written_is_told_before_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, kind) in [
            (folder.path().join("none/report"), io::ErrorKind::NotFound),
            (folder.path().to_owned(), io::ErrorKind::IsADirectory),
        ] {
            let refused = ReportFile::create(FileFormat::Junit, &path).err();
            assert_eq!(refused.map(|error| error.kind()), Some(kind), "{}", path.display());
        }
    }
}
