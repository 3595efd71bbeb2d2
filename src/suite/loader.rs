//! Reads suite files; the only file of this module that touches the world outside.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    string::FromUtf8Error,
    sync::Arc,
};

use super::{
    mistake::{Mistake, Mistakes},
    parse::{Parsed, parse_file, unique_names},
    source::Source,
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
        let bytes = if path.as_os_str() == "-" {
            read_bytes(io::stdin())
        } else {
            File::open(path).and_then(read_bytes)
        };
        match bytes.map(String::from_utf8) {
            Ok(Ok(text)) => {
                parsed.append(parse_file(&name, &text, &|path| read_path(Path::new(path))));
            }
            Ok(Err(error)) => parsed.mistakes.push(not_utf8(&name, &error)),
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

fn read_bytes(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

fn read_all(input: impl Read) -> io::Result<String> {
    String::from_utf8(read_bytes(input)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

/// Points at the first byte that belongs to no character.
fn not_utf8(name: &str, error: &FromUtf8Error) -> Mistake {
    let shown = String::from_utf8_lossy(error.as_bytes());
    let source = Arc::new(Source::new(name, &shown));
    // The source leaves out the mark that some editors begin a file with.
    let mark = shown.len() - source.text.len();
    let valid = error.utf8_error().valid_up_to() - mark;
    let place = valid..valid + char::REPLACEMENT_CHARACTER.len_utf8();
    let mut mistake = Mistake::at(&source, &place, "this is not UTF-8");
    mistake.help("save the file as UTF-8");
    mistake
}
