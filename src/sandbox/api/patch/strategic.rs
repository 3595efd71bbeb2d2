//! Strategic merge: a merge patch that knows which lists are merged by which key.

use serde_json::{Map, Value};

use super::super::schema::{Merge, Node};

/// Lays a patch over an object.
///
/// # Errors
/// A directive that isn't known, or a list item without its merge key.
pub fn merge(node: &Node, object: &mut Value, patch: Value) -> Result<(), String> {
    merge_value(object, patch, node)
}

fn merge_value(object: &mut Value, patch: Value, node: &Node) -> Result<(), String> {
    match patch {
        Value::Object(patch) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            let Value::Object(map) = object else { return Ok(()) };
            merge_map(map, patch, node)
        }
        other => {
            *object = other;
            Ok(())
        }
    }
}

fn merge_map(
    map: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    node: &Node,
) -> Result<(), String> {
    match patch.remove("$patch").as_ref().map(|word| word.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            *map = patch;
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        Some(other) => return Err(format!("unknown $patch directive {other:?}")),
    }
    if let Some(kept) = patch.remove("$retainKeys") {
        let kept: Vec<_> =
            kept.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        map.retain(|key, _| kept.contains(&key.as_str()));
    }
    let mut orders = Vec::new();
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let unwanted = value.as_array().cloned().unwrap_or_default();
            if let Some(list) = map.get_mut(field).and_then(Value::as_array_mut) {
                list.retain(|item| !unwanted.contains(item));
            }
        } else if let Some(field) = key.strip_prefix("$setElementOrder/") {
            orders.push((field.to_owned(), value));
        } else if value.is_null() {
            map.remove(&key);
        } else {
            let deeper = node.child(&key).unwrap_or(&Node::Any);
            match value {
                Value::Array(items) => {
                    let place = map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                    merge_list(place, items, deeper)?;
                }
                Value::Object(_) => {
                    let place = map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                    merge_value(place, value, deeper)?;
                }
                plain => {
                    map.insert(key.clone(), plain);
                }
            }
        }
    }
    for (field, order) in orders {
        let (_, kind) = node.child(&field).unwrap_or(&Node::Any).merge();
        if let (Some(list), Some(order)) =
            (map.get_mut(&field).and_then(Value::as_array_mut), order.as_array())
        {
            reorder(list, order, kind);
        }
    }
    Ok(())
}

fn merge_list(place: &mut Value, items: Vec<Value>, node: &Node) -> Result<(), String> {
    let replace = items.iter().any(|item| item.get("$patch").is_some_and(|word| word == "replace"));
    let (item_node, kind) = node.merge();
    let Value::Array(list) = place else {
        *place = Value::Array(Vec::new());
        return merge_list(place, items, node);
    };
    if replace || *kind == Merge::Replace {
        *list = items
            .into_iter()
            .filter(|item| item.get("$patch").is_none_or(|word| word != "replace"))
            .collect();
        return Ok(());
    }
    let key = match kind {
        Merge::Keyed(key) => key,
        _ => {
            for item in items {
                if !list.contains(&item) {
                    list.push(item);
                }
            }
            return Ok(());
        }
    };
    for mut item in items {
        let Some(wanted) = item.get(key).cloned() else {
            return Err(format!("map: {item} does not contain declared merge key: {key}"));
        };
        let found = list.iter().position(|known| known.get(key) == Some(&wanted));
        if item.get("$patch").is_some_and(|word| word == "delete") {
            list.retain(|known| known.get(key) != Some(&wanted));
        } else if let Some(found) = found {
            merge_value(&mut list[found], item, item_node)?;
        } else {
            if let Value::Object(map) = &mut item {
                map.remove("$patch");
            }
            let mut fresh = Value::Object(Map::new());
            merge_value(&mut fresh, item, item_node)?;
            list.push(fresh);
        }
    }
    Ok(())
}

/// Brings the items that an order names into that order; the others follow.
fn reorder(list: &mut [Value], order: &[Value], kind: &Merge) {
    let place = |item: &Value| {
        order
            .iter()
            .position(|wanted| match kind {
                Merge::Keyed(key) => wanted.get(key) == item.get(key),
                _ => wanted == item,
            })
            .unwrap_or(order.len())
    };
    list.sort_by_key(place);
}
