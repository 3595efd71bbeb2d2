//! Label and field selectors, as list and watch requests and objects state them.

mod terms;
mod text;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{failure::Failure, object::Object, resource::Resource};
use crate::model::Labels;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The key is there and its value is one of these.
    In,
    /// The key isn't there, or its value is none of these.
    NotIn,
    /// The key is there.
    Exists,
    /// The key isn't there.
    DoesNotExist,
    /// The key's value is a number above this one.
    Gt,
    /// The key's value is a number below this one.
    Lt,
}

/// One condition on the labels of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// Conditions on labels, all of which must hold. Without any, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

/// The text or object is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Requirement {
    fn new(key: &str, operator: Operator, values: impl IntoIterator<Item = String>) -> Self {
        Self { key: key.to_owned(), operator, values: values.into_iter().collect() }
    }

    /// Whether labels fulfil it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let compare = |holds: fn(i64, i64) -> bool| {
            let found = value.and_then(|value| value.parse().ok());
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            found.zip(bound).is_some_and(|(found, bound)| holds(found, bound))
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compare(|found, bound| found > bound),
            Operator::Lt => compare(|found, bound| found < bound),
        }
    }

    /// A `matchExpressions` entry, of a label selector or of a node affinity.
    ///
    /// # Errors
    /// The operator is none that is known.
    pub fn from_expression(expression: &Value) -> Result<Self, SelectorError> {
        let operator = match expression.text("/operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::Gt,
            "Lt" => Operator::Lt,
            other => return Err(SelectorError(format!("\"{other}\" is not a valid operator"))),
        };
        let values = expression.items("/values").iter();
        let values = values.filter_map(|value| Some(value.as_str()?.to_owned()));
        Ok(Self::new(expression.text("/key"), operator, values))
    }
}

impl Selector {
    /// Whether labels fulfil every condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether there is no condition.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// A map of labels that must all be there, as a Service has it.
    pub fn from_map(map: &Value) -> Self {
        let pairs = map.as_object().into_iter().flatten();
        let requirements = pairs.filter_map(|(key, value)| {
            Some(Requirement::new(key, Operator::In, [value.as_str()?.to_owned()]))
        });
        Self(requirements.collect())
    }

    /// A `LabelSelector` as objects state it; an empty one selects everything.
    ///
    /// # Errors
    /// An operator that is none.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        let mut all = Self::from_map(&selector["matchLabels"]);
        for expression in selector.items("/matchExpressions") {
            all.0.push(Requirement::from_expression(expression)?);
        }
        Ok(all)
    }

    /// A selector in the text form of requests: `app=web,tier in (a, b),!legacy`.
    ///
    /// # Errors
    /// What could not be read.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        text::parse(text).map(Self)
    }
}

/// Conditions on fields: `spec.nodeName=node-1,status.phase!=Succeeded`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    /// Reads the text form of requests and checks that the kind can be selected so.
    ///
    /// # Errors
    /// A 400 that names the field which isn't supported.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, Failure> {
        let mut conditions = Vec::new();
        for (field, equal, value) in terms::read(text).map_err(Failure::bad_request)? {
            let known = matches!(field, "metadata.name" | "metadata.namespace")
                || (resource.rules.selectable)(field)
                || resource.definition().is_some_and(|custom| custom.selects(field));
            if !known {
                return Err(Failure::bad_request(unsupported(field, resource)));
            }
            conditions.push((field.to_owned(), equal, value));
        }
        Ok(Self(conditions))
    }

    /// Whether an object fulfils every condition.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, equal, value)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let found = match object.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *value) == *equal
        })
    }

    /// Whether there is no condition.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}

/// Kinds whose fields are known by a list of their own, and say so in other words.
const LISTED: [&str; 8] = [
    "events",
    "jobs",
    "namespaces",
    "nodes",
    "pods",
    "replicationcontrollers",
    "secrets",
    "services",
];

fn unsupported(field: &str, resource: &Resource) -> String {
    if LISTED.contains(&resource.plural) || resource.definition().is_some() {
        return format!("field label not supported: {field}");
    }
    format!(
        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::resource::{CONFIG_MAPS, PODS};

    #[test]
    fn label_selectors_select_as_kubernetes_does() {
        let labels: Labels =
            [("app", "web"), ("tier", "1")].map(|(k, v)| (k.into(), v.into())).into();
        for (text, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!legacy", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , tier = 1", true),
            ("app!=web", false),
            ("legacy!=yes", true),
            ("app in (web,api)", true),
            ("app in (api)", false),
            ("legacy in (yes)", false),
            ("app notin (api, db)", true),
            ("legacy notin (yes)", true),
            ("app in (web, api),tier>0", true),
            ("tier<1", false),
            ("app=", false),
        ] {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_label_selector_is_refused() {
        for text in ["app in web", "in (a)", "app is (a)", "a b", "=web", ",", "app in (a"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors_look_at_the_fields_of_their_kind() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "node-1"}});
        for (text, expected) in [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("spec.nodeName=node-1,metadata.name=a", true),
            ("spec.nodeName=", false),
            ("status.phase=", true),
        ] {
            let selector = FieldSelector::parse(text, &PODS).expect(text);
            assert_eq!(selector.matches(&pod), expected, "{text}");
        }
        assert!(FieldSelector::parse("spec.nodeName=x", &CONFIG_MAPS).is_err());
    }
}
