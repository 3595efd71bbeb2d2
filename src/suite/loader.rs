//! Reads suite files; the only file of this module that touches the world outside.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    mistake::{Mistake, Mistakes},
    parse::{Parsed, parse_file, unique_names},
    types::Suite,
};

/// A larger file is refused.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Reads suites from files; `-` is standard input. Manifests that a suite names are read
/// from beside its file, for standard input from the working directory.
///
/// # Errors
/// All mistakes of all files, of which nothing has been used.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Suite>, Mistakes> {
    let mut parsed = Parsed::default();
    for (number, path) in paths.iter().enumerate() {
        if paths[..number].contains(path) {
            let message = "this file is given twice";
            parsed.mistakes.push(Mistake::about_file(&path.display().to_string(), message));
            continue;
        }
        let name = path.display().to_string();
        let text = if path.as_os_str() == "-" { read_all(io::stdin()) } else { read_path(path) };
        match text {
            Ok(text) => parsed.append(parse_file(&name, &text, &|path| read_path(Path::new(path)))),
            Err(error) => {
                parsed.mistakes.push(Mistake::about_file(&name, format!("can't read it: {error}")));
            }
        }
    }
    unique_names(&mut parsed);
    if parsed.mistakes.is_empty() { Ok(parsed.suites) } else { Err(Mistakes::new(parsed.mistakes)) }
}

fn read_path(path: &Path) -> io::Result<String> {
    read_all(File::open(path)?)
}

fn read_all(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}
