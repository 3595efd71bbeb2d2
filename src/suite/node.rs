//! A YAML document as a tree in which every node knows its place.

use serde_json::{Number, Value};

use super::source::Span;

/// A node with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Scalar { text: String, style: Style },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// How a scalar is written; only a plain one may be anything but text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
    Literal,
    Folded,
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// What a scalar means under YAML 1.2's core schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'n> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'n str),
}

impl Node {
    /// The node's scalar; None for lists and mappings.
    pub(super) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.kind {
            NodeKind::Scalar { text, style: Style::Plain } => Some(resolve(text)),
            NodeKind::Scalar { text, .. } => Some(Scalar::Text(text)),
            _ => None,
        }
    }

    /// The scalar's characters whatever they mean; None for lists and mappings.
    pub(super) fn raw(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let NodeKind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The node as a message names it.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".into(),
            NodeKind::Map(_) => "a mapping".into(),
            NodeKind::Scalar { text, .. } => match self.scalar() {
                Some(Scalar::Null) if text.is_empty() => "nothing".into(),
                Some(Scalar::Bool(_) | Scalar::Null) => format!("`{text}`"),
                Some(Scalar::Number(_)) => format!("the number {text}"),
                _ if text.len() > 60 || text.contains('\n') => "a text".into(),
                _ => format!("the text `{text}`"),
            },
        }
    }

    /// How many nodes it is made of, itself included.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar { .. } => 1,
            NodeKind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            NodeKind::Map(entries) => {
                1 + entries.iter().map(|entry| 1 + entry.value.size()).sum::<usize>()
            }
        }
    }

    /// The value that kubectl sends for it. kubectl reads YAML 1.1, in which a plain
    /// `yes`, `no`, `on` or `off` is a boolean and a leading zero means octal.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect(),
            ),
            NodeKind::Scalar { text, style: Style::Plain } => {
                if let Some(value) = yaml_1_1_bool(text) {
                    return Value::Bool(value);
                }
                let octal = text.strip_prefix('0').filter(|rest| !rest.is_empty());
                if let Some(number) = octal.and_then(|rest| u32::from_str_radix(rest, 8).ok()) {
                    return number.into();
                }
                match resolve(text) {
                    Scalar::Null => Value::Null,
                    Scalar::Bool(value) => Value::Bool(value),
                    Scalar::Number(number) => Value::Number(number),
                    Scalar::Text(text) => text.into(),
                }
            }
            NodeKind::Scalar { text, .. } => text.as_str().into(),
        }
    }
}

/// The words that YAML 1.1 takes for booleans and YAML 1.2 for text.
pub(super) fn yaml_1_1_bool(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    number(text).map_or(Scalar::Text(text), Scalar::Number)
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            return u64::from_str_radix(digits, radix).ok().filter(|_| plain).map(Number::from);
        }
    }
    // Rust's parsers take words as well ("inf", "nan"), and YAML's don't.
    let numeric = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !numeric {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    unsigned
        .parse::<u64>()
        .map(Number::from)
        .or_else(|_| unsigned.parse::<i64>().map(Number::from))
        .ok()
        .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(text: &str) -> Node {
        let kind = NodeKind::Scalar { text: text.into(), style: Style::Plain };
        Node { span: 0..text.len(), kind }
    }

    #[test]
    fn plain_scalars_mean_in_manifests_what_kubectl_takes_them_for() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("no", json!(false)),
            ("On", json!(true)),
            ("y", json!("y")),
            ("8080", json!(8080)),
            ("-1", json!(-1)),
            ("0644", json!(420)),
            ("0", json!(0)),
            ("0x1f", json!(31)),
            ("0x", json!("0x")),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("1.2.3", json!("1.2.3")),
            ("inf", json!("inf")),
            ("22:22", json!("22:22")),
            ("99999999999999999999", json!(1e20)),
        ] {
            assert_eq!(plain(text).to_value(), expected, "the plain scalar {text:?}");
        }
    }
}
