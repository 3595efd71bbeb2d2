//! Strategic merge: a merge patch that knows which lists are merged by which key, and that
//! may say more than a document can.
//!
//! ```text
//! $patch: replace | delete                what becomes of a map, or of a list's item
//! $retainKeys: [a, b]                     the only fields that stay
//! $setElementOrder/finalizers: [x, y]     the order of a merged list
//! $deleteFromPrimitiveList/finalizers: [z]
//! ```
//!
//! Directives count where the object has something to merge with; what is new is taken as
//! it stands, without the parts that are directives.

mod list;
mod order;
#[cfg(test)]
mod tests;
mod told;

use serde_json::{Map, Value};

use self::list::merge_list;
use super::super::{failure::Failure, schema::Node};
use told::{expected_list, go};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder";
const DELETE: &str = "$deleteFromPrimitiveList";

/// Lays a patch over an object.
///
/// # Errors
/// A directive that isn't known or doesn't fit, or a list item without its merge key.
pub fn merge(node: &Node, object: &mut Value, patch: Value) -> Result<(), Failure> {
    if let (Value::Object(map), Value::Object(patch)) = (object, patch) {
        merge_map(map, patch, node)?;
    }
    Ok(())
}

fn merge_map(
    map: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    node: &Node,
) -> Result<(), Failure> {
    match patch.get(DIRECTIVE).map(|word| word.as_str().unwrap_or_default()) {
        None => {}
        Some("replace") => {
            patch.remove(DIRECTIVE);
            *map = patch;
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        Some(_) => return Err(unknown_directive(&patch)),
    }
    retain(map, &mut patch)?;
    let (orders, plain): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|(key, _)| key.starts_with(ORDER));
    let mut patch: Map<_, _> = plain.into_iter().collect();
    for (key, order) in orders {
        let Value::Array(wanted) = order else { return Err(expected_list(&order)) };
        let Some(field) = key.strip_prefix(ORDER).and_then(|rest| rest.strip_prefix('/')) else {
            return Err(Failure::bad_request("invalid patch format of setElementOrder list"));
        };
        order::settle(map, &mut patch, field, &wanted, node)?;
    }
    for (key, value) in patch {
        if let Some(rest) = key.strip_prefix(DELETE) {
            let Some(field) = rest.strip_prefix('/') else {
                return Err(Failure::bad_request("invalid patch format of primitive list"));
            };
            take_out(map, field, &value);
        } else {
            merge_field(map, key, value, node)?;
        }
    }
    Ok(())
}

/// Drops the fields that a patch doesn't name among those that stay.
fn retain(map: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Failure> {
    let Some(kept) = patch.remove(RETAIN) else { return Ok(()) };
    let malformed = || Failure::bad_request("invalid patch format of retainKeys");
    let kept = kept.as_array().ok_or_else(malformed)?;
    let stays = |key: &str| kept.iter().any(|one| one.as_str() == Some(key));
    let is_said = |(key, value): (&String, &Value)| {
        value.is_null() || key.starts_with(DELETE) || key.starts_with(ORDER) || stays(key)
    };
    if !patch.iter().all(is_said) {
        return Err(malformed());
    }
    map.retain(|key, _| stays(key));
    Ok(())
}

fn take_out(map: &mut Map<String, Value>, field: &str, unwanted: &Value) {
    if unwanted.is_null() {
        map.remove(field);
    } else if let (Some(Value::Array(list)), Value::Array(unwanted)) =
        (map.get_mut(field), unwanted)
    {
        list.retain(|item| !unwanted.contains(item));
    }
}

fn merge_field(
    map: &mut Map<String, Value>,
    key: String,
    value: Value,
    node: &Node,
) -> Result<(), Failure> {
    if value.is_null() {
        map.remove(&key);
        return Ok(());
    }
    let child = node.child(&key).unwrap_or(&Node::Any);
    match (map.get_mut(&key), value) {
        (Some(Value::Object(inner)), Value::Object(patch)) => {
            if node.field(&key).is_some_and(|field| field.replaced) {
                *inner = patch;
                return Ok(());
            }
            merge_map(inner, patch, child)
        }
        (Some(Value::Array(list)), Value::Array(patch)) => {
            *list = merge_list(std::mem::take(list), patch, child)?;
            Ok(())
        }
        (_, value) => {
            match fresh(without_nulls(value)) {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
            Ok(())
        }
    }
}

/// What is new, without what is a directive.
fn fresh(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter().filter_map(|(key, value)| Some((key, fresh(value)?))).collect(),
        )),
        Value::Array(items) => Some(items.into_iter().filter_map(fresh).collect()),
        plain => Some(plain),
    }
}

/// There is nothing that a null could take away.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        plain => plain,
    }
}

fn unknown_directive(patch: &Map<String, Value>) -> Failure {
    let word = patch.get(DIRECTIVE).map(go).unwrap_or_default();
    let map = go(&Value::Object(patch.clone()));
    Failure::unexplained(format!("unknown patch type: {word} in map: {map}"))
}
