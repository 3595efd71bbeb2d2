//! Reading and writing the metadata of an object that is a JSON value.
//!
//! Objects in the store are canonical (see [`super::resource`]), so that these accessors
//! take a missing or odd field as absent instead of failing.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{model::Labels, sandbox::clock};

/// Metadata of a Kubernetes object.
pub trait Object {
    /// `metadata.name`, or empty.
    fn name(&self) -> &str;
    /// `metadata.namespace`, or empty.
    fn namespace(&self) -> &str;
    /// `metadata.uid`, or empty.
    fn uid(&self) -> &str;
    /// `metadata.resourceVersion` as a number, or 0.
    fn resource_version(&self) -> u64;
    /// `metadata.labels`.
    fn labels(&self) -> Labels;
    /// `metadata.deletionTimestamp` is set.
    fn is_deleting(&self) -> bool;
    /// `metadata.finalizers`.
    fn finalizers(&self) -> Vec<String>;
    /// `metadata.ownerReferences`.
    fn owners(&self) -> &[Value];
    /// A text at a JSON pointer, or empty.
    fn text(&self, pointer: &str) -> &str;
    /// A list at a JSON pointer, or an empty one.
    fn items(&self, pointer: &str) -> &[Value];
    /// `metadata`, made if it is missing.
    fn metadata_mut(&mut self) -> &mut Map<String, Value>;
    /// An object at a top-level key, made if it is missing.
    fn section_mut(&mut self, key: &str) -> &mut Map<String, Value>;
}

impl Object for Value {
    fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    fn resource_version(&self) -> u64 {
        self.text("/metadata/resourceVersion").parse().unwrap_or_default()
    }

    fn labels(&self) -> Labels {
        let labels = self.pointer("/metadata/labels").and_then(Value::as_object);
        labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn is_deleting(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    fn finalizers(&self) -> Vec<String> {
        let finalizers = self.items("/metadata/finalizers");
        finalizers.iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect()
    }

    fn owners(&self) -> &[Value] {
        self.items("/metadata/ownerReferences")
    }

    fn text(&self, pointer: &str) -> &str {
        self.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn items(&self, pointer: &str) -> &[Value] {
        self.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        self.section_mut("metadata")
    }

    fn section_mut(&mut self, key: &str) -> &mut Map<String, Value> {
        object_mut(object_mut(self).entry(key).or_insert(Value::Null))
    }
}

/// The map in a value, which is made into an empty one if it is something else.
pub fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was made an object in the line above"),
    }
}

/// A number of seconds in an object, as long as a clock can count: what is longer than
/// thirty years is taken as that.
pub fn seconds(value: Option<&Value>) -> Option<Duration> {
    const LONGEST: u64 = 1_000_000_000;
    let seconds = value?.as_i64()?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default().min(LONGEST)))
}

/// The present moment as `metadata` states times: RFC 3339 in whole seconds.
pub fn now() -> String {
    clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
