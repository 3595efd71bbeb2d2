//! Which sandboxes this user keeps, as a folder for each.
//!
//! Whoever holds a sandbox holds the lock in its folder, and loses it with its life. So a
//! folder whose lock is free belonged to a sandbox that was killed, and is swept.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Trouble, files::write_private, merge};

/// The sandbox that is meant where none is named.
pub(super) const DEFAULT_NAME: &str = "default";

const LOCK: &str = "lock";
const RECORD: &str = "sandbox.json";
const KUBECONFIG: &str = "kubeconfig";
const LOG: &str = "log";
/// Names the kubeconfigs of the user's own that the sandbox is in, a line for each.
const MERGED: &str = "merged";

/// What is kept of a sandbox that is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The process that holds it.
    pub pid: u32,
    /// The process that it lives in, which ends with the last of it.
    pub keeper: Process,
    pub nodes: usize,
    pub since: Timestamp,
    /// What is broken from the start.
    pub faults: Vec<String>,
    /// Another place of its kubeconfig, which goes with it.
    pub written_to: Option<PathBuf>,
}

/// A process, also told apart from a later one with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: u32,
    /// When it started, in the kernel's ticks.
    pub started: u64,
}

impl Process {
    /// The process of an id, if it runs.
    pub(super) fn running(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold blanks and parentheses.
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let started = fields.get(19)?.parse().ok()?;
        (*fields.first()? != "Z").then_some(Self { pid, started })
    }

    pub(super) fn is_running(self) -> bool {
        Self::running(self.pid) == Some(self)
    }
}

/// The folder of all of this user's sandboxes.
#[derive(Clone, Debug)]
pub(super) struct Home(PathBuf);

/// A sandbox that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub name: String,
    /// None while it is starting.
    pub record: Option<Record>,
    folder: PathBuf,
}

/// A sandbox's folder, held by this process.
#[derive(Debug)]
pub(super) struct Held {
    folder: PathBuf,
    _lock: File,
}

impl Home {
    /// The user's folder, made if it is missing: in `$XDG_RUNTIME_DIR` where that is this
    /// user's own, else among the temporary files.
    pub(super) fn open() -> Result<Self, Trouble> {
        let user = nix::unistd::geteuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|folder| {
            let own = |found: Metadata| found.is_dir() && found.uid() == user;
            folder.is_absolute() && fs::metadata(folder).is_ok_and(own)
        });
        let folder = match runtime {
            Some(runtime) => runtime.join("netproof"),
            None => std::env::temp_dir().join(format!("netproof-{user}")),
        };
        Self::at(folder, user)
    }

    fn at(folder: PathBuf, user: u32) -> Result<Self, Trouble> {
        let place = folder.display();
        let remedy = "set XDG_RUNTIME_DIR to a folder of your own";
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Trouble::input(format!("make {place}: {error}"), remedy));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(&folder)
            .map_err(|error| Trouble::input(format!("look at {place}: {error}"), remedy))?;
        if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
            let message = format!("{place} is not a folder that you alone can use");
            return Err(Trouble::input(message, format!("remove it, or {remedy}")));
        }
        Ok(Self(folder))
    }

    /// Takes a name for this process.
    pub(super) fn take(&self, name: &str) -> Result<Held, Trouble> {
        let folder = self.0.join(name);
        let failed =
            |error: io::Error| Trouble::machine(format!("make {}: {error}", folder.display()));
        loop {
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
            match lock(&folder) {
                Ok(Some(lock)) => {
                    let held = Held { folder, _lock: lock };
                    held.empty();
                    return Ok(held);
                }
                Ok(None) => {
                    let remedy =
                        format!("`netproof sandbox down {name}` ends it; or give another `--name`");
                    return Err(Trouble::input(
                        format!("a sandbox `{name}` is up already"),
                        remedy,
                    ));
                }
                // Its last holder took it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// All sandboxes that somebody holds, by name; sweeps what is left of others.
    pub(super) fn list(&self) -> Result<Vec<Kept>, Trouble> {
        let failed =
            |error: io::Error| Trouble::machine(format!("read {}: {error}", self.0.display()));
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
            kept.extend(self.find(&name));
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(kept)
    }

    /// The sandbox of a name, if somebody holds it; sweeps what is left of a killed one.
    pub(super) fn find(&self, name: &str) -> Option<Kept> {
        let folder = self.0.join(name);
        if !folder.join(LOCK).exists() {
            return None;
        }
        match lock(&folder) {
            Ok(Some(lock)) => {
                Held { folder, _lock: lock }.remove();
                None
            }
            Ok(None) => {
                let record = read(&folder);
                Some(Kept { name: name.to_owned(), record, folder })
            }
            Err(_) => None,
        }
    }

    /// The sandbox that is meant: the named one, else the default one, else the only one.
    pub(super) fn choose(&self, name: Option<&str>) -> Result<Kept, Trouble> {
        let kept = self.list()?;
        let found = match name {
            Some(name) => kept.iter().find(|kept| kept.name == name),
            None => kept
                .iter()
                .find(|kept| kept.name == DEFAULT_NAME)
                .or(kept.first().filter(|_| kept.len() == 1)),
        };
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let names: Vec<_> = kept.iter().map(|kept| kept.name.as_str()).collect();
        let message = match name {
            _ if names.is_empty() => "no sandbox is up".to_owned(),
            Some(name) => format!("no sandbox `{name}` is up; up are {}", names.join(", ")),
            None => format!("several sandboxes are up: {}", names.join(", ")),
        };
        let remedy = match (name, names.is_empty()) {
            (Some(name), _) if name != DEFAULT_NAME => {
                format!("netproof sandbox up --name {name}")
            }
            (None, false) => "name one of them".to_owned(),
            _ => "netproof sandbox up".to_owned(),
        };
        Err(Trouble::input(message, remedy))
    }
}

/// The name of a sandbox's context in the user's own kubeconfigs.
fn context(name: &str) -> String {
    format!("netproof-{name}")
}

impl Kept {
    pub(super) fn context(&self) -> String {
        context(&self.name)
    }

    /// Remembers a kubeconfig of the user's own that the sandbox was added to.
    pub(super) fn note_merged(&self, file: &Path) -> io::Result<()> {
        let path = self.folder.join(MERGED);
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        let line = std::path::absolute(file)?.display().to_string();
        if !text.lines().any(|known| known == line) {
            text.push_str(&line);
            text.push('\n');
        }
        write_private(&path, &text)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join(KUBECONFIG)
    }

    /// Whether somebody still holds it.
    pub(super) fn is_held(&self) -> bool {
        matches!(lock(&self.folder), Ok(None))
    }
}

impl Held {
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join(KUBECONFIG)
    }

    /// Where a sandbox in the background writes what it would say in the foreground.
    pub(super) fn log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.folder.join(LOG))
    }

    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_string_pretty(record).map_err(io::Error::other)?;
        write_private(&self.folder.join(RECORD), &text)
    }

    /// What a killed sandbox of the same name left.
    fn empty(&self) {
        let other = read(&self.folder).and_then(|record| record.written_to);
        self.part();
        // Credentials of a sandbox that is no more are worth nothing. What isn't there
        // need not go.
        for path in [RECORD, KUBECONFIG, LOG, MERGED].map(|name| self.folder.join(name)) {
            let _ = fs::remove_file(path);
        }
        if let Some(other) = other {
            let _ = fs::remove_file(other);
        }
    }

    /// Takes the sandbox out of the user's own kubeconfigs. One that can't be read or written
    /// any more keeps an entry that leads nowhere.
    fn part(&self) {
        let Some(name) = self.folder.file_name().and_then(|name| name.to_str()) else { return };
        let files = fs::read_to_string(self.folder.join(MERGED)).unwrap_or_default();
        for file in files.lines().map(Path::new) {
            let Ok(there) = fs::read_to_string(file) else { continue };
            if let Ok(text) = merge::part(&there, &context(name)) {
                let _ = write_private(file, &text);
            }
        }
    }

    /// Takes the folder away, and the lock with it.
    pub(super) fn remove(self) {
        self.empty();
        let _ = fs::remove_file(self.folder.join(LOCK));
        let _ = fs::remove_dir(&self.folder);
    }
}

fn read(folder: &Path) -> Option<Record> {
    serde_json::from_str(&fs::read_to_string(folder.join(RECORD)).ok()?).ok()
}

/// Takes the lock of a folder; none if somebody else has it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // A lock on a file that was taken away keeps nobody out.
    if fs::metadata(&path)?.ino() == file.metadata()?.ino() {
        Ok(Some(file))
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A name of a sandbox: a part of a path and of a kubeconfig's context.
pub(super) fn name(text: &str) -> Result<String, String> {
    let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if letters && (1..=40).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("a name has up to 40 lower-case letters, digits and `-` between them".to_owned())
    }
}

#[cfg(test)]
mod tests;
