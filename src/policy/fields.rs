//! Reading loose objects field by field, with every mistake at its path.
//!
//! The texts follow the API server's own, so that a person who knows one knows the other.

use std::fmt;

use serde_json::{Map, Value};

/// Where an object was found, which decides how strictly it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody is about to create it: everything that the API server refuses is refused.
    Manifest,
    /// It stands in a cluster: what older API servers let in is tolerated.
    Stored,
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The object: `NetworkPolicy shop/allow-frontend`.
    pub object: String,
    /// The path of the field: `spec.ingress[0].from[0]`; empty for the object itself.
    pub field: String,
    /// What is wrong with it, as the API server says it.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.object, self.message)
        } else {
            write!(f, "{}: {}: {}", self.object, self.field, self.message)
        }
    }
}

/// All mistakes of one object, as they are found.
pub(super) struct Findings {
    pub(super) object: String,
    pub(super) origin: Origin,
    pub(super) mistakes: Vec<Mistake>,
}

impl Findings {
    pub(super) fn new(object: String, origin: Origin) -> Self {
        Self { object, origin, mistakes: Vec::new() }
    }

    pub(super) fn note(&mut self, path: &str, message: impl Into<String>) {
        let (object, field) = (self.object.clone(), path.to_owned());
        self.mistakes.push(Mistake { object, field, message: message.into() });
    }

    pub(super) fn invalid(&mut self, path: &str, value: &Value, detail: &str) {
        self.note(path, format!("Invalid value: {value}: {detail}"));
    }

    pub(super) fn required(&mut self, path: &str, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.note(path, format!("Required value{colon}{detail}"));
    }

    pub(super) fn unsupported(&mut self, path: &str, value: &Value, known: &[&str]) {
        let known: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
        let known = known.join(", ");
        self.note(path, format!("Unsupported value: {value}: supported values: {known}"));
    }

    /// The value is of the wrong kind.
    pub(super) fn kind(&mut self, path: &str, value: &Value, wanted: &str) {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.note(path, format!("Invalid value: \"{found}\": must be of type {wanted}"));
    }

    /// A mapping; null counts as an empty one, as it does for the API server.
    pub(super) fn object<'a>(&mut self, path: &str, value: &'a Value) -> Object<'a> {
        let map = match value {
            Value::Object(map) => Some(map),
            Value::Null => None,
            other => {
                self.kind(path, other, "object");
                return Object { path: path.to_owned(), map: None, known: vec![], broken: true };
            }
        };
        Object { path: path.to_owned(), map, known: Vec::new(), broken: false }
    }

    /// A list; null counts as none.
    pub(super) fn list<'a>(&mut self, path: &str, value: &'a Value) -> &'a [Value] {
        match value {
            Value::Array(items) => items,
            Value::Null => &[],
            other => {
                self.kind(path, other, "array");
                &[]
            }
        }
    }

    pub(super) fn text<'a>(&mut self, path: &str, value: &'a Value) -> Option<&'a str> {
        if value.as_str().is_none() {
            self.kind(path, value, "string");
        }
        value.as_str()
    }

    /// A whole number.
    pub(super) fn integer(&mut self, path: &str, value: &Value) -> Option<i64> {
        if value.as_i64().is_none() {
            self.kind(path, value, "integer");
        }
        value.as_i64()
    }
}

/// A mapping that is being read: it remembers which fields were asked for.
pub(super) struct Object<'a> {
    pub(super) path: String,
    map: Option<&'a Map<String, Value>>,
    known: Vec<&'static str>,
    /// True where there was no mapping at all, which has been said already.
    pub(super) broken: bool,
}

impl<'a> Object<'a> {
    /// The path of a field.
    pub(super) fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// A field that is there and not null.
    pub(super) fn field(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.map.and_then(|map| map.get(name)).filter(|value| !value.is_null())
    }

    /// The fields that nobody has asked for.
    pub(super) fn unknown(&self) -> Vec<&'a str> {
        let is_unknown = |key: &&String| !self.known.contains(&key.as_str());
        self.map
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .filter(is_unknown)
            .map(String::as_str)
            .collect()
    }

    /// Refuses the fields that nobody has asked for: the API server would drop them, and
    /// a misspelt selector would select everything.
    pub(super) fn finish(self, findings: &mut Findings) {
        if findings.origin == Origin::Stored {
            return;
        }
        for name in self.unknown() {
            let field = self.at(name);
            findings.note(&field, format!("unknown field \"{field}\""));
        }
    }
}
