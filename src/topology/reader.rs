//! Reads manifests; the only file of this module that touches the world outside.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::objects::{BrokenYaml, parse};

/// What all files together may hold.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Why manifests can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or a folder.
    #[error("read {path}: {source}")]
    File {
        /// Which one; `-` for standard input.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What stands in one.
    #[error(transparent)]
    Broken(#[from] BrokenYaml),
    /// A folder in which there is nothing to read.
    #[error("{0} holds no .yaml, .yml or .json file")]
    Empty(String),
}

/// Reads objects from a file, from all `.yaml`, `.yml` and `.json` files below a folder in
/// the order of their paths, or from standard input where the path is `-`.
///
/// # Errors
/// The first file that can't be read, and why.
pub fn read(path: &Path) -> Result<Vec<Value>, ReadError> {
    let name = path.display().to_string();
    let failed = |source| ReadError::File { path: name.clone(), source };
    if path.as_os_str() == "-" {
        return Ok(parse(&name, &read_all(io::stdin()).map_err(failed)?)?);
    }
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(parse(&name, &read_file(path)?)?);
    }
    let mut files = Vec::new();
    collect(path, &mut files).map_err(failed)?;
    files.sort();
    if files.is_empty() {
        return Err(ReadError::Empty(name));
    }
    let mut objects = Vec::new();
    for file in files {
        objects.extend(parse(&file.display().to_string(), &read_file(&file)?)?);
    }
    Ok(objects)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link to a folder may lead back up.
        let is_folder = fs::symlink_metadata(&path)?.is_dir();
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        if is_folder && !hidden {
            collect(&path, files)?;
        } else if matches!(extension.as_deref(), Some("yaml" | "yml" | "json")) && !is_folder {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ReadError> {
    let read = || read_all(File::open(path)?);
    read().map_err(|source| ReadError::File { path: path.display().to_string(), source })
}

fn read_all(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 256 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}
