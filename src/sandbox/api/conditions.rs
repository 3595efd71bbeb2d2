//! The list of conditions in a status.

use serde_json::{Value, json};

use super::object::{Object, now};

/// Sets a condition. Its `lastTransitionTime` changes only with its status.
pub fn set(object: &mut Value, kind: &str, holds: bool, reason: &str, message: &str) {
    let status = if holds { "True" } else { "False" };
    let list = object.section_mut("status").entry("conditions").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    let place = list.iter().position(|condition| condition["type"] == kind);
    let known = place.map(|place| list[place].clone());
    let since = known
        .filter(|known| known["status"] == status)
        .and_then(|known| known.get("lastTransitionTime").cloned())
        .unwrap_or_else(|| now().into());
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
    if !reason.is_empty() {
        condition["reason"] = reason.into();
    }
    if !message.is_empty() {
        condition["message"] = message.into();
    }
    match place {
        Some(place) => list[place] = condition,
        None => list.push(condition),
    }
}

/// Whether a condition is true.
pub fn holds(object: &Value, kind: &str) -> bool {
    let conditions = object.items("/status/conditions").iter();
    conditions.clone().any(|condition| condition["type"] == kind && condition["status"] == "True")
}
