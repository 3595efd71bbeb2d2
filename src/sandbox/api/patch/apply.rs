//! Server-side apply: each manager states the fields that it wants, and owns them.
//!
//! What a manager applied is kept in `metadata.managedFields` as a set of paths, in
//! Kubernetes' own form. A field that a manager stops applying goes, unless another one
//! applies it too; two managers that want different values are in conflict. Plain writes
//! take no ownership.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    super::object::{Object, now, object_mut},
    schema::{self, List},
};

/// A step of a path, in the form of `fieldsV1`: `f:name`, `k:{…}` or `v:…`.
type Path = Vec<String>;

/// Other managers own fields for which another value is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyConflict {
    /// Manager and field, for messages.
    pub fields: Vec<(String, String)>,
}

/// The object that an apply makes of a stored one, or of nothing.
///
/// # Errors
/// The conflicts, unless they are to be overridden by `force`.
pub fn apply(
    before: Option<&Value>,
    wanted: &Value,
    manager: &str,
    api_version: &str,
    force: bool,
) -> Result<Value, ApplyConflict> {
    let mut wanted = wanted.clone();
    wanted.metadata_mut().remove("managedFields");
    let mut owned = BTreeSet::new();
    collect(&wanted, &mut Vec::new(), &mut Vec::new(), &mut owned);
    for field in ["f:apiVersion", "f:kind"] {
        owned.remove(&vec![field.to_owned()]);
    }
    owned.retain(|path| {
        !(path.first().is_some_and(|first| first == "f:metadata")
            && path.get(1).is_none_or(|second| {
                ["f:name", "f:namespace", "f:resourceVersion", "f:uid"].contains(&second.as_str())
            }))
    });

    let mut object = before.cloned().unwrap_or_else(|| json!({}));
    let mut others = Vec::new();
    let mut mine = BTreeSet::new();
    let mut own = json!({
        "manager": manager, "operation": "Apply", "apiVersion": api_version, "time": now(),
        "fieldsType": "FieldsV1", "fieldsV1": write_fields(&owned),
    });
    let entries = object.items("/metadata/managedFields").to_vec();
    let mut place = entries.len();
    for (index, entry) in entries.into_iter().enumerate() {
        let mut set = BTreeSet::new();
        read_fields(&entry["fieldsV1"], &mut Vec::new(), &mut set);
        if entry.text("/manager") != manager {
            others.push((entry, set));
            continue;
        }
        // To apply the same again is no change, not even of the time.
        if entry["fieldsV1"] == own["fieldsV1"] && entry["apiVersion"] == own["apiVersion"] {
            own = entry;
        }
        (place, mine) = (index, set);
    }

    let mut conflicts = Vec::new();
    for path in &owned {
        let is_item = path.last().is_some_and(|step| !step.starts_with("f:"));
        let same = find(&object, path).is_none_or(|found| Some(found) == find(&wanted, path));
        if is_item || same {
            continue;
        }
        for (entry, set) in &mut others {
            if set.contains(path) {
                conflicts.push((entry.text("/manager").to_owned(), display(path)));
                if force {
                    set.remove(path);
                }
            }
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(ApplyConflict { fields: conflicts });
    }

    merge(&mut object, &wanted, &mut Vec::new());
    // Shortest first: an item's keys must not go before the item that they name.
    let mut dropped: Vec<_> = mine.difference(&owned).collect();
    dropped.sort_by_key(|path| path.len());
    for path in dropped {
        let held = others.iter().any(|(_, set)| set.iter().any(|other| other.starts_with(path)))
            || owned.iter().any(|other| other.starts_with(path));
        if !held {
            remove(&mut object, path);
        }
    }

    let mut entries: Vec<_> = others
        .into_iter()
        .map(|(mut entry, set)| {
            object_mut(&mut entry).insert("fieldsV1".into(), write_fields(&set));
            entry
        })
        .collect();
    entries.insert(place, own);
    entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|set| !set.is_empty()));
    object.metadata_mut().insert("managedFields".into(), entries.into());
    Ok(object)
}

/// The step for an item of a list, if items of that list have one.
fn step(item: &Value, kind: List) -> Option<String> {
    match kind {
        List::Atomic => None,
        List::Set => Some(format!("v:{item}")),
        List::Keyed(keys) => {
            let mut known = Map::new();
            for key in keys {
                match item.get(*key) {
                    Some(value) => known.insert((*key).to_owned(), value.clone()),
                    // The default of the one key that has one.
                    None if *key == "protocol" => known.insert("protocol".into(), "TCP".into()),
                    None => return None,
                };
            }
            Some(format!("k:{}", Value::Object(known)))
        }
    }
}

/// The paths of all leaves of an object.
fn collect<'v>(
    value: &'v Value,
    names: &mut Vec<&'v str>,
    path: &mut Path,
    set: &mut BTreeSet<Path>,
) {
    match value {
        Value::Object(map) if !map.is_empty() && !schema::is_atomic_map(names) => {
            for (key, value) in map {
                names.push(key);
                path.push(format!("f:{key}"));
                collect(value, names, path, set);
                path.pop();
                names.pop();
            }
        }
        Value::Array(items) => {
            let kind = schema::list(names);
            let steps: Option<Vec<_>> = items.iter().map(|item| step(item, kind)).collect();
            match steps {
                Some(steps) if !items.is_empty() => {
                    for (item, step) in items.iter().zip(steps) {
                        path.push(step);
                        set.insert(path.clone());
                        if item.is_object() {
                            collect(item, names, path, set);
                        }
                        path.pop();
                    }
                }
                _ => {
                    set.insert(path.clone());
                }
            }
        }
        _ => {
            if !path.is_empty() {
                set.insert(path.clone());
            }
        }
    }
}

fn merge<'v>(object: &mut Value, wanted: &'v Value, names: &mut Vec<&'v str>) {
    match wanted {
        Value::Object(wanted) if !schema::is_atomic_map(names) => {
            let map = object_mut(object);
            for (key, value) in wanted {
                names.push(key);
                merge(map.entry(key).or_insert(Value::Null), value, names);
                names.pop();
            }
        }
        Value::Array(wanted) if schema::list(names) != List::Atomic => {
            let kind = schema::list(names);
            if !object.is_array() {
                *object = Value::Array(Vec::new());
            }
            let Value::Array(list) = object else { return };
            for item in wanted {
                let wanted_step = step(item, kind);
                let known = list.iter_mut().find(|known| step(known, kind) == wanted_step);
                match known {
                    Some(known) if item.is_object() => merge(known, item, names),
                    Some(_) => {}
                    None => list.push(item.clone()),
                }
            }
        }
        other => *object = other.clone(),
    }
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    let Some((first, rest)) = path.split_first() else { return Some(object) };
    if let Some(field) = first.strip_prefix("f:") {
        return find(object.get(field)?, rest);
    }
    find(object.as_array()?.iter().find(|item| is_at(item, first))?, rest)
}

/// Whether a list's item is the one that a step means.
fn is_at(item: &Value, step: &str) -> bool {
    if let Some(value) = step.strip_prefix("v:") {
        return format!("{item}") == value;
    }
    let keys: Map<String, Value> = step
        .strip_prefix("k:")
        .and_then(|keys| serde_json::from_str(keys).ok())
        .unwrap_or_default();
    !keys.is_empty()
        && keys.iter().all(|(key, value)| match item.get(key) {
            Some(found) => found == value,
            None => key == "protocol" && value == "TCP",
        })
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    if let Some(field) = first.strip_prefix("f:") {
        let Value::Object(map) = object else { return };
        if rest.is_empty() {
            map.remove(field);
        } else if let Some(inner) = map.get_mut(field) {
            remove(inner, rest);
        }
        return;
    }
    let Value::Array(list) = object else { return };
    if rest.is_empty() {
        list.retain(|item| !is_at(item, first));
    } else if let Some(item) = list.iter_mut().find(|item| is_at(item, first)) {
        remove(item, rest);
    }
}

/// `.spec.containers[name="web"].image`, as conflicts are shown.
fn display(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(field) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(field);
        } else if let Some(keys) = step.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text.push_str(&format!("[{}]", keys.join(",")));
        } else {
            text.push_str(&format!("[={}]", step.strip_prefix("v:").unwrap_or_default()));
        }
    }
    text
}

fn read_fields(fields: &Value, path: &mut Path, set: &mut BTreeSet<Path>) {
    let Some(map) = fields.as_object() else { return };
    for (key, inner) in map {
        if key == "." {
            set.insert(path.clone());
            continue;
        }
        path.push(key.clone());
        if inner.as_object().is_none_or(Map::is_empty) {
            set.insert(path.clone());
        } else {
            read_fields(inner, path, set);
        }
        path.pop();
    }
}

fn write_fields(set: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    for path in set {
        let mut place = &mut root;
        for step in path {
            place = object_mut(place).entry(step).or_insert_with(|| json!({}));
        }
        let has_fields =
            set.iter().any(|other| other.len() > path.len() && other.starts_with(path));
        if has_fields {
            object_mut(place).insert(".".into(), json!({}));
        }
    }
    root
}
