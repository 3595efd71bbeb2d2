//! Custom resources: what a CustomResourceDefinition makes of itself, and of its objects.
//!
//! Instances are pruned, filled with defaults and checked by the schema of their version.
//! Of rules in CEL (`x-kubernetes-validations`) those of the kind that the cluster has from
//! the start are checked, others are kept and not evaluated; versions differ in their
//! `apiVersion` alone, as with the conversion strategy `None`.

mod cluster_network_policy;
mod definition;
mod expression;
mod path;
mod pattern;
mod structure;
mod validate;

use std::fmt;

use regex::Regex;
use serde_json::Value;

use super::{object::Object, resource::Resource, schema::Node};

pub use cluster_network_policy::{
    NAME as CLUSTER_NETWORK_POLICIES, definition as cluster_network_policy,
};
pub(super) use definition::{default, prepare, selectable, validate as validate_definition};
pub use path::JsonPath;

/// The finalizer that a definition keeps until its instances are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// What a version of a definition says.
#[derive(Clone)]
pub struct Custom {
    /// The type of the objects.
    pub node: Node,
    /// The version of the definition: `name`, `schema`, `subresources` …
    pub version: Value,
    /// The version that is stored, if it is another one.
    pub stored: &'static str,
    /// Every pattern of the schema, read once.
    patterns: Vec<(String, Option<Regex>)>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("version", &self.version["name"]).finish_non_exhaustive()
    }
}

impl Custom {
    fn new(version: &Value, stored: &'static str) -> Self {
        let schema = &version["schema"]["openAPIV3Schema"];
        let mut patterns = Vec::new();
        validate::patterns(schema, &mut patterns);
        let node = structure::root(schema);
        Self { node, version: version.clone(), stored, patterns }
    }

    /// The schema of the instances.
    pub fn schema(&self) -> &Value {
        &self.version["schema"]["openAPIV3Schema"]
    }

    /// Whether objects can be selected by a field: `spec.colour`.
    pub fn selects(&self, field: &str) -> bool {
        let known = self.version.items("/selectableFields").iter();
        known.into_iter().any(|one| one.text("/jsonPath").strip_prefix('.') == Some(field))
    }

    /// Fills in the schema's defaults.
    pub fn fill(&self, object: &mut Value) {
        structure::fill(self.schema(), object);
    }

    /// What is wrong with an instance.
    pub fn causes(&self, object: &Value) -> Vec<super::failure::Cause> {
        validate::causes(self.schema(), object, &self.patterns)
    }
}

/// Warnings of rules that a definition states and that are not checked here.
pub fn unchecked(definition: &Value) -> Vec<String> {
    let versions = definition.items("/spec/versions").iter().enumerate();
    let counts = versions.map(|(index, version)| {
        (index, expression::unknown(&version["schema"]["openAPIV3Schema"]))
    });
    let counts = counts.filter(|(_, count)| *count > 0);
    counts
        .map(|(index, count)| {
            format!(
                "spec.versions[{index}].schema.openAPIV3Schema: {count} x-kubernetes-validations \
                 are kept, but this sandbox does not evaluate them: it takes objects that they \
                 would refuse"
            )
        })
        .collect()
}

/// The rows of the kinds that a definition has made: one for each version that is served.
///
/// Rows live as long as the process, like the built-in ones: a few kilobytes for each
/// change of a definition.
pub fn rows(definition: &Value) -> Vec<&'static Resource> {
    if !super::conditions::holds(definition, "Established") {
        return Vec::new();
    }
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let leak_all = |pointer: &str| -> &'static [&'static str] {
        let words = definition.items(pointer).iter().filter_map(Value::as_str);
        Box::leak(words.map(leak).collect())
    };
    let versions = definition.items("/spec/versions");
    let stored = versions.iter().find(|version| version["storage"] == true);
    let stored = leak(stored.map_or("", |version| version.text("/name")));
    let names = Names {
        group: leak(definition.text("/spec/group")),
        kind: leak(definition.text("/status/acceptedNames/kind")),
        list_kind: leak(definition.text("/status/acceptedNames/listKind")),
        plural: leak(definition.text("/status/acceptedNames/plural")),
        singular: leak(definition.text("/status/acceptedNames/singular")),
        short_names: leak_all("/status/acceptedNames/shortNames"),
        categories: leak_all("/status/acceptedNames/categories"),
        namespaced: definition.text("/spec/scope") == "Namespaced",
    };
    let served = versions.iter().filter(|version| version["served"] == true);
    served
        .map(|version| {
            let custom = Custom::new(version, stored);
            let row = Resource::of_definition(&names, leak(version.text("/name")), custom);
            &*Box::leak(Box::new(row))
        })
        .collect()
}

/// How the kinds of a definition are called.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The API group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The kind of lists.
    pub list_kind: &'static str,
    /// The plural.
    pub plural: &'static str,
    /// The singular.
    pub singular: &'static str,
    /// What kubectl takes for the plural.
    pub short_names: &'static [&'static str],
    /// The groups of resources that kubectl knows the kind under.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

#[cfg(test)]
mod tests;
