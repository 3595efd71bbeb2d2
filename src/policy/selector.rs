//! Label selectors, checked.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{
    fields::Findings,
    names::{label_key_error, label_value_error},
};
use crate::model::Labels;

/// A label selector: all of its requirements have to hold. Without any it selects
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// The requirements, `matchLabels` first.
    pub requirements: Vec<Requirement>,
}

/// One condition on an object's labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Requirement {
    /// The key is there, with one of these values; `matchLabels` has one.
    In(String, BTreeSet<String>),
    /// The key isn't there, or has none of these values.
    NotIn(String, BTreeSet<String>),
    /// The key is there.
    Exists(String),
    /// The key isn't there.
    DoesNotExist(String),
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects what has these labels.
    pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(key, value): (&str, &str)| {
            Requirement::In(key.to_owned(), BTreeSet::from([value.to_owned()]))
        };
        Self { requirements: labels.into_iter().map(requirement).collect() }
    }

    /// True where everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// True where an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    /// True where labels meet it.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }

    /// The key that it asks for.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key) => key,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("{}");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    /// As kubectl's `--selector` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| {
            values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::In(key, values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Self::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

/// Reads a selector; absent and null are for the caller.
pub(super) fn read(findings: &mut Findings, path: &str, value: &Value) -> Selector {
    let mut object = findings.object(path, value);
    let mut requirements = Vec::new();
    if let Some(labels) = object.field("matchLabels") {
        let path = object.at("matchLabels");
        match labels {
            Value::Object(labels) => {
                for (key, value) in labels {
                    requirements.extend(read_label(findings, &path, key, value));
                }
            }
            other => findings.kind(&path, other, "object"),
        }
    }
    if let Some(expressions) = object.field("matchExpressions") {
        let path = object.at("matchExpressions");
        for (index, expression) in findings.list(&path, expressions).iter().enumerate() {
            requirements.extend(read_expression(findings, &format!("{path}[{index}]"), expression));
        }
    }
    object.finish(findings);
    Selector { requirements }
}

fn read_label(
    findings: &mut Findings,
    path: &str,
    key: &str,
    value: &Value,
) -> Option<Requirement> {
    if let Some(message) = label_key_error(key) {
        findings.invalid(path, &key.into(), &message);
    }
    let text = match value {
        Value::Null => "",
        Value::String(text) => text,
        other => {
            findings.kind(&format!("{path}.{key}"), other, "string");
            return None;
        }
    };
    if let Some(message) = label_value_error(text) {
        findings.invalid(path, value, &message);
    }
    Some(Requirement::In(key.to_owned(), BTreeSet::from([text.to_owned()])))
}

fn read_expression(findings: &mut Findings, path: &str, value: &Value) -> Option<Requirement> {
    let mut object = findings.object(path, value);
    let (key, operator) = (object.field("key"), object.field("operator"));
    let values = object.field("values");
    let (at_key, at_operator) = (object.at("key"), object.at("operator"));
    let at_values = object.at("values");
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let key = key.map_or(Some(""), |key| findings.text(&at_key, key))?.to_owned();
    if let Some(message) = label_key_error(&key) {
        findings.invalid(&at_key, &key.as_str().into(), &message);
    }
    let items = values.map_or(&[][..], |values| findings.list(&at_values, values));
    let mut set = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{at_values}[{index}]");
        if let Some(text) = findings.text(&path, item) {
            if let Some(message) = label_value_error(text) {
                findings.invalid(&path, item, &message);
            }
            set.insert(text.to_owned());
        }
    }
    let operator = operator.map_or(Some(""), |operator| findings.text(&at_operator, operator))?;
    let listed = !items.is_empty();
    match operator {
        "In" | "NotIn" if !listed => {
            findings.required(&at_values, "must be specified when `operator` is 'In' or 'NotIn'");
            None
        }
        "Exists" | "DoesNotExist" if listed => {
            let message = "Forbidden: may not be specified when `operator` is 'Exists' or \
                           'DoesNotExist'";
            findings.note(&at_values, message);
            None
        }
        "In" => Some(Requirement::In(key, set)),
        "NotIn" => Some(Requirement::NotIn(key, set)),
        "Exists" => Some(Requirement::Exists(key)),
        "DoesNotExist" => Some(Requirement::DoesNotExist(key)),
        other => {
            findings.invalid(&at_operator, &other.into(), "not a valid selector operator");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_met_as_kubernetes_says() {
        use Requirement::{DoesNotExist, Exists, In, NotIn};
        let key = || "tier".to_owned();
        let back = || BTreeSet::from(["back".to_owned()]);
        for (requirement, expected) in [
            (In(key(), back()), [false, true, false]),
            (NotIn(key(), back()), [true, false, true]),
            (Exists(key()), [false, true, true]),
            (DoesNotExist(key()), [true, false, false]),
        ] {
            let values = [None, Some("back"), Some("front")];
            let found = values.map(|value| {
                let labels = value.map(|value| (key(), value.to_owned()));
                requirement.matches(&labels.into_iter().collect())
            });
            assert_eq!(found, expected, "{requirement} of no tier, back, front");
        }
    }
}
