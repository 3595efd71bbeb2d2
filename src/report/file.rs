//! `--report`: a report in a file, written beside it and renamed once it is whole.
//!
//! Who reads the file never meets half of one, and an older report stands until the new
//! one takes its place. A run that is killed leaves none.

use std::{
    fs::Permissions,
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{Report, Writer, json, junit};
use crate::event::Record;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Every event as a line of JSON, as `--output json` prints them.
    Json,
    /// JUnit's XML, which CI systems show.
    Junit,
}

/// Writes a report to a file.
pub struct FileWriter {
    format: FileFormat,
    path: PathBuf,
    name: String,
    /// None once it is in its place.
    file: Option<BufWriter<NamedTempFile>>,
}

impl FileWriter {
    /// Begins a report that will stand at `path`; nothing is there before it is whole.
    ///
    /// # Errors
    /// No file can be made in its folder.
    pub fn create(format: FileFormat, path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".netproof-report-")
            // The umask takes its part of it, as of any file that a program writes.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            // The name of the temporary file tells nobody anything.
            .map_err(|error| io::Error::from(error.kind()))?;
        let name = format!("{format} report {}", path.display());
        Ok(Self { format, path: path.to_owned(), name, file: Some(BufWriter::new(file)) })
    }
}

impl Writer for FileWriter {
    fn name(&self) -> &str {
        &self.name
    }

    fn record(&mut self, record: &Record, _report: &Report) -> io::Result<()> {
        match (self.format, &mut self.file) {
            (FileFormat::Json, Some(file)) => file.write_all(&json::line(record)?),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, report: &Report) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        if self.format == FileFormat::Junit {
            file.write_all(junit::document(report)?.as_bytes())?;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map(drop).map_err(|error| error.error)
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
    fn a_file_stands_there_only_once_it_is_whole() {
        for format in [FileFormat::Json, FileFormat::Junit] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("report");
            fs::write(&path, "an older one").expect("write");
            let mut writer = FileWriter::create(format, &path).expect("a writer");
            let mut report = Report::default();
            for record in records(mixed()) {
                report.apply(&record);
                writer.record(&record, &report).expect("a record");
            }
            assert_eq!(fs::read_to_string(&path).expect("a file"), "an older one", "{format}");
            writer.finish(&report).expect("the end");
            let text = fs::read_to_string(&path).expect("a file");
            let start = if format == FileFormat::Json { "{\"atMs\"" } else { "<?xml" };
            assert!(text.starts_with(start), "{format}: {text}");
            drop(writer);
            let left = fs::read_dir(folder.path()).expect("a folder").count();
            assert_eq!(left, 1, "{format}: nothing else is left");
        }
    }

    #[test]
    fn an_unfinished_report_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(FileWriter::create(FileFormat::Json, &folder.path().join("report")).expect("one"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_can_not_be_written_is_told_before_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, kind) in [
            (folder.path().join("none/report"), io::ErrorKind::NotFound),
            (folder.path().to_owned(), io::ErrorKind::IsADirectory),
        ] {
            let refused = FileWriter::create(FileFormat::Junit, &path).err();
            assert_eq!(refused.map(|error| error.kind()), Some(kind), "{}", path.display());
        }
    }
}
