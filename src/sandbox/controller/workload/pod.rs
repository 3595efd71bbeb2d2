//! Pods as controllers see them: active, ready, available; and how one is made from a
//! template.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hands::controller_reference;
use crate::sandbox::api::{object::Object, resource::Resource};

/// Whether a pod counts: it has not ended and is not being deleted.
pub(in crate::sandbox::controller) fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && pod["metadata"]["deletionTimestamp"].is_null()
}

pub(in crate::sandbox::controller) fn has_ended(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(in crate::sandbox::controller) fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

fn ready_condition(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == "Ready" && one["status"] == "True")
}

pub(in crate::sandbox::controller) fn is_ready(pod: &Value) -> bool {
    ready_condition(pod).is_some()
}

/// Since when a pod is ready.
pub(in crate::sandbox::controller) fn ready_since(pod: &Value) -> Option<Timestamp> {
    time(&ready_condition(pod)?["lastTransitionTime"])
}

/// A time in an object.
pub(in crate::sandbox::controller) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long it takes until a ready pod is available; `None` for one that isn't ready.
pub(in crate::sandbox::controller) fn until_available(
    pod: &Value,
    min_ready: i64,
    now: Timestamp,
) -> Option<Duration> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready <= 0 {
        return Some(Duration::ZERO);
    }
    let since = ready_since(pod)?;
    let passed = now.duration_since(since).as_millis();
    let left = i128::from(min_ready) * 1000 - passed;
    Some(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
}

pub(in crate::sandbox::controller) fn is_available(
    pod: &Value,
    min_ready: i64,
    now: Timestamp,
) -> bool {
    until_available(pod, min_ready, now).is_some_and(|left| left.is_zero())
}

/// A pod from an owner's template. Without a name it is generated from the owner's.
pub(in crate::sandbox::controller) fn from_template(
    resource: &Resource,
    owner: &Value,
    template: &Value,
    name: Option<&str>,
) -> Value {
    let mut metadata = json!({"ownerReferences": [controller_reference(resource, owner)]});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    match name {
        Some(name) => metadata["name"] = name.into(),
        None => metadata["generateName"] = format!("{}-", owner.name()).into(),
    }
    json!({"metadata": metadata, "spec": template["spec"]})
}

/// Sets a label or an annotation.
pub(in crate::sandbox::controller) fn mark(object: &mut Value, map: &str, key: &str, value: &str) {
    let marks = object.metadata_mut().entry(map).or_insert_with(|| json!({}));
    if !marks.is_object() {
        *marks = json!({});
    }
    marks[key] = value.into();
}

/// An annotation, or an empty text.
pub(in crate::sandbox::controller) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key].as_str().unwrap_or_default()
}
