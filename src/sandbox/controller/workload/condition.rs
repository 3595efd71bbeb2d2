//! The list of conditions in a workload's status.

use serde_json::{Value, json};

use crate::sandbox::api::object::now;

/// A condition of a list.
pub(super) fn find<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether there is none.
pub(super) fn is_empty(conditions: &Value) -> bool {
    conditions.as_array().is_none_or(Vec::is_empty)
}

/// Takes a condition out.
pub(super) fn remove(conditions: &mut Value, kind: &str) {
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|condition| condition["type"] != kind);
    }
}

/// Sets a condition. Without a change of status or reason it stays as it is; its
/// `lastTransitionTime` changes only with its status.
pub(super) fn put(conditions: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    if find(conditions, kind).is_some_and(|one| one["status"] == status && one["reason"] == reason)
    {
        return;
    }
    replace(conditions, kind, status, reason, message);
}

/// Sets a condition, whatever it was.
pub(super) fn replace(
    conditions: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    let since = find(conditions, kind)
        .filter(|known| known["status"] == status)
        .map_or_else(|| now().into(), |known| known["lastTransitionTime"].clone());
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[field] = text.into();
        }
    }
    remove(conditions, kind);
    match conditions.as_array_mut() {
        Some(list) => list.push(condition),
        None => *conditions = json!([condition]),
    }
}

/// Notes in a condition when it was last set, as Deployments do.
pub(super) fn updated(conditions: &mut Value, kind: &str) {
    let list = conditions.as_array_mut().into_iter().flatten();
    for condition in list.filter(|condition| condition["type"] == kind) {
        condition["lastUpdateTime"] = now().into();
    }
}
