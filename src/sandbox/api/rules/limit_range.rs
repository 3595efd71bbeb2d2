//! Limit ranges: defaults that follow from the other fields.

use serde_json::{Value, json};

use super::super::object::object_mut;

/// A container's limit defaults to the maximum, its request to the limit, else the minimum.
pub(super) fn default(range: &mut Value) {
    let items = range.pointer_mut("/spec/limits").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter(|item| item["type"] == "Container") {
        for (from, to) in
            [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            let Some(source) = item.get(from).and_then(Value::as_object).cloned() else { continue };
            let place = object_mut(item).entry(to).or_insert_with(|| json!({}));
            for (resource, amount) in source {
                object_mut(place).entry(resource).or_insert(amount);
            }
        }
    }
}
