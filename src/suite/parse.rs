//! From the text of a file to its suites.

use std::{collections::HashMap, io, sync::Arc};

use super::{
    document::read_suite,
    mistake::{Mistake, Mistakes},
    reader::Reader,
    source::{Source, Span},
    tree,
    types::Suite,
};

/// What one or several files gave.
#[derive(Default)]
pub(super) struct Parsed {
    /// Suites without mistakes.
    pub(super) suites: Vec<Suite>,
    pub(super) mistakes: Vec<Mistake>,
    /// The names of all suites, those with mistakes included, at their places.
    names: Vec<(String, Arc<Source>, Span)>,
}

impl Parsed {
    pub(super) fn append(&mut self, other: Self) {
        self.suites.extend(other.suites);
        self.mistakes.extend(other.mistakes);
        self.names.extend(other.names);
    }
}

/// Reads the suites of one file. `read` gives the text of a manifest by its path from
/// where netproof stands; `file_name` is what messages call the file.
///
/// Returned are the suites without mistakes, and all mistakes by their places.
pub fn parse(
    file_name: &str,
    text: &str,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> (Vec<Suite>, Vec<Mistake>) {
    let mut parsed = parse_file(file_name, text, read);
    unique_names(&mut parsed);
    (parsed.suites, Mistakes::new(parsed.mistakes).into_inner())
}

/// As [`parse`], before names are compared.
pub(super) fn parse_file(
    file_name: &str,
    text: &str,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> Parsed {
    let source = Arc::new(Source::new(file_name, text));
    let mut parsed = Parsed::default();
    let mut reader = Reader { source: Arc::clone(&source), mistakes: Vec::new() };
    let documents = tree::documents(&source, &mut reader.mistakes);
    if documents.is_empty() && reader.mistakes.is_empty() {
        reader.mistakes.push(Mistake::at(&source, &(0..0), "there is no suite in this file"));
    }
    for document in &documents {
        let before = reader.mistakes.len();
        let (suite, name) = read_suite(&mut reader, document, read);
        parsed.suites.extend(suite.filter(|_| reader.mistakes.len() == before));
        parsed.names.extend(name.map(|name| (name.text, Arc::clone(&source), name.span)));
    }
    parsed.mistakes = reader.mistakes;
    parsed
}

/// Suites that were loaded together can't share a name: it stands in every id.
pub(super) fn unique_names(parsed: &mut Parsed) {
    let mut first: HashMap<&str, (&Arc<Source>, &Span)> = HashMap::new();
    for (name, source, span) in &parsed.names {
        if let Some((other, place)) = first.get(name.as_str()) {
            let mut mistake = Mistake::at(source, span, format!("two suites are called `{name}`"));
            mistake.see(other, place, "the first is here");
            parsed.mistakes.push(mistake);
        } else {
            first.insert(name, (source, span));
        }
    }
}
