//! Namespaces: the label with their name, and the finalizer that empties them first.

use serde_json::{Value, json};

use super::super::object::{Object, object_mut};

/// The label that every namespace carries, whatever is written.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn default(namespace: &mut Value) {
    let name = namespace.name().to_owned();
    let labels = namespace.metadata_mut().entry("labels").or_insert(Value::Null);
    object_mut(labels).insert(NAME_LABEL.into(), name.into());
}

pub(super) fn prepare(namespace: &mut Value) {
    let finalizers = namespace.section_mut("spec").entry("finalizers").or_insert(json!([]));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|known| known == "kubernetes")
    {
        finalizers.push("kubernetes".into());
    }
    object_mut(namespace).insert("status".into(), json!({"phase": "Active"}));
}
