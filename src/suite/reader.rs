//! Typed reading of a tree that collects mistakes and goes on.
//!
//! Every method that returns an Option has noted a mistake when it returns None, but for
//! those that ask for a field that may be absent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    mistake::Mistake,
    nearest::{listed, nearest},
    node::{Entry, Node, NodeKind, Scalar, Style, yaml_1_1_bool},
    source::{Source, Span},
    words::{LABEL_KEY, LABEL_VALUE, is_label_key, is_label_value},
};

/// No change takes longer to bite, and sums of such times stay far from overflow.
const LONGEST_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A text with its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// Reads one file's trees.
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Reader {
    /// Notes a mistake, to which the caller may add.
    pub(super) fn mistake(&mut self, span: &Span, message: impl Into<String>) -> &mut Mistake {
        let index = self.mistakes.len();
        self.mistakes.push(Mistake::at(&self.source, span, message));
        &mut self.mistakes[index]
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str) -> &mut Mistake {
        let message = format!("expected {wanted}, found {}", node.describe());
        self.mistake(&node.span, message)
    }

    /// A text; numbers and the like have to be quoted.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Word> {
        match node.scalar() {
            Some(Scalar::Text(text)) => {
                return Some(Word { text: text.to_owned(), span: node.span.clone() });
            }
            Some(Scalar::Bool(_) | Scalar::Number(_)) => {
                let raw = node.raw().unwrap_or_default().to_owned();
                self.wrong_type(node, what).help(format!("as a text it is written \"{raw}\""));
            }
            _ => {
                self.wrong_type(node, what);
            }
        }
        None
    }

    /// A text that has to follow a rule.
    pub(super) fn name(
        &mut self,
        node: &Node,
        what: &str,
        fits: fn(&str) -> bool,
        rule: &str,
    ) -> Option<Word> {
        let word = self.text(node, what)?;
        self.check_name(&word, what, fits, rule).then_some(word)
    }

    /// Whether a word follows the rule.
    pub(super) fn check_name(
        &mut self,
        word: &Word,
        what: &str,
        fits: fn(&str) -> bool,
        rule: &str,
    ) -> bool {
        let good = fits(&word.text);
        if !good {
            let message = format!("`{}` can't be {what}", word.text);
            self.mistake(&word.span, message).help(rule);
        }
        good
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        field: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let raw = node.raw().unwrap_or_default();
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == raw) {
            return Some(*value);
        }
        let words = || choices.iter().map(|(word, _)| *word);
        let near = nearest(raw, words());
        let message = format!("`{field}` takes {}, not {}", listed(words()), node.describe());
        self.mistake(&node.span, message).did_you_mean(near);
        None
    }

    /// A time with its unit, longer than nothing.
    pub(super) fn duration(&mut self, node: &Node, field: &str) -> Option<Duration> {
        let raw = node.raw().unwrap_or_default().to_owned();
        let found = match node.scalar() {
            Some(Scalar::Text(text)) => humantime::parse_duration(text).map_err(|e| e.to_string()),
            Some(Scalar::Number(_)) => {
                let message = format!("`{field}` needs a unit");
                self.mistake(&node.span, message).did_you_mean(Some(&format!("{raw}s")));
                return None;
            }
            _ => {
                self.wrong_type(node, "a time such as `30s`");
                return None;
            }
        };
        match found {
            Ok(time) if time.is_zero() || time > LONGEST_WITHIN => {
                let message = format!("`{field}` has to be more than nothing and at most 24h");
                self.mistake(&node.span, message);
                None
            }
            Ok(time) => Some(time),
            Err(error) => {
                let message = format!("`{raw}` is no time: {error}");
                self.mistake(&node.span, message).help("times look like `30s`, `500ms`, `1m 30s`");
                None
            }
        }
    }

    /// The items of a list; nothing at all is an empty list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            NodeKind::List(items) => items,
            _ if node.is_null() => &[],
            _ => {
                self.wrong_type(node, what);
                &[]
            }
        }
    }

    /// The entries of a mapping; nothing at all is an empty mapping.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        match &node.kind {
            NodeKind::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                self.wrong_type(node, what);
                &[]
            }
        }
    }

    /// The fields of a mapping that has a fixed set of them.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &'static str) -> Option<Fields<'n>> {
        match &node.kind {
            NodeKind::Map(entries) => Some(Fields {
                entries,
                span: node.span.clone(),
                what,
                known: vec![],
                missing: vec![],
            }),
            _ => {
                self.wrong_type(node, &format!("{what} (a mapping)"));
                None
            }
        }
    }

    /// Labels, or whatever follows their rules.
    pub(super) fn labels(&mut self, node: &Node, what: &str) -> BTreeMap<String, String> {
        let mut labels = self.annotations(node, what);
        if let NodeKind::Map(entries) = &node.kind {
            for entry in entries {
                let Some(value) = labels.get(&entry.key) else { continue };
                if !is_label_value(value) {
                    let message = format!("`{value}` can't be the value of a label");
                    self.mistake(&entry.value.span, message).help(LABEL_VALUE);
                    labels.remove(&entry.key);
                }
            }
        }
        labels
    }

    /// Annotations: keys as labels have them, any text as value.
    pub(super) fn annotations(&mut self, node: &Node, what: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in self.entries(node, &format!("{what} (a mapping)")) {
            if !is_label_key(&entry.key) {
                let message = format!("`{}` can't be the key of {what}", entry.key);
                self.mistake(&entry.key_span, message).help(LABEL_KEY);
                continue;
            }
            if let NodeKind::Scalar { text, style: Style::Plain } = &entry.value.kind
                && yaml_1_1_bool(text).is_some()
            {
                // Where the same labels stand in a manifest, kubectl takes this for true
                // or false; better quoted in both places than different in one.
                let message = format!("YAML 1.1 reads a plain `{text}` as a boolean");
                let help = format!("as a text it is written \"{text}\"");
                self.mistake(&entry.value.span, message).help(help);
                continue;
            }
            if let Some(value) = self.text(&entry.value, "a text") {
                found.insert(entry.key.clone(), value.text);
            }
        }
        found
    }
}

/// The fields of a mapping. What was asked for is known; the rest is a mistake.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    /// Where the mapping stands.
    pub(super) span: Span,
    what: &'static str,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// A field that may be absent.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    /// A field that must be there; [`Self::finish`] reports it where it isn't.
    pub(super) fn required(&mut self, name: &'static str) -> Option<&'n Node> {
        let found = self.optional(name);
        if found.is_none() {
            self.missing.push(name);
        }
        found
    }

    /// The place of a field's key.
    pub(super) fn key_span(&self, name: &str) -> Option<&'n Span> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.key_span)
    }

    /// Reports required fields that are absent, and every field that nobody asked for but
    /// for the reserved ones, which are of no use to anybody.
    pub(super) fn finish(mut self, reader: &mut Reader, reserved: &[&str]) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) || reserved.contains(&key) {
                continue;
            }
            let message = format!("{} has no field `{key}`", self.what);
            let near = nearest(key, self.known.iter().copied());
            // A misspelt field is not reported as absent as well.
            self.missing.retain(|missing| Some(*missing) != near);
            reader
                .mistake(&entry.key_span, message)
                .did_you_mean(near)
                .help(format!("its fields are {}", listed(self.known.iter().copied())));
        }
        if !self.missing.is_empty() {
            let missing = listed(self.missing.iter().copied());
            reader.mistake(&self.span, format!("{} needs {missing}", self.what));
        }
    }
}
