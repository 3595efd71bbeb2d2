//! Who manages which field: server-side apply, and the trace that every other write leaves.
//!
//! A field that a manager stops applying goes, unless another one manages it too; to apply
//! another value than somebody else's is a conflict. A plain write takes what it changes.

use serde_json::{Map, Value, json};

use super::{
    super::{
        object::{Object, object_mut},
        schema::{ListKind, Node},
    },
    compare::compare,
    fields::{Fields, display, field_step, item_step},
    managers::{Author, Managers},
};

/// Other managers have fields for which another value is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyConflict {
    /// Manager and field, for messages.
    pub fields: Vec<(String, String)>,
}

/// The manager of everything that was there before anybody was asked who manages it.
const FIRST: &str = "before-first-apply";

/// The object that an apply makes of a stored one, or of nothing.
///
/// # Errors
/// The conflicts, unless they are to be overridden by `force`.
pub fn apply(
    node: &Node,
    before: Option<&Value>,
    wanted: &Value,
    author: Author<'_>,
    force: bool,
) -> Result<Value, ApplyConflict> {
    let mut wanted = wanted.clone();
    wanted.metadata_mut().remove("managedFields");
    let live = before.cloned().unwrap_or_else(|| json!({}));
    let mut managers = Managers::of(&live);
    if before.is_some() && managers.0.is_empty() {
        let first = Author { name: FIRST, subresource: "", ..author };
        managers.give(first, false, tracked(Fields::of(node, &live), author.subresource));
    }
    let fields = tracked(Fields::of(node, &wanted), author.subresource);
    let mut dropped = managers.entry(author, true).fields.clone();
    dropped.subtract(&fields);
    managers.give(author, true, fields.clone());

    let mut object = live.clone();
    merge(node, &mut object, &wanted);
    for path in dropped.paths() {
        let held = managers.0.iter().any(|manager| manager.fields.reaches(&path));
        if !held {
            remove(node, &mut object, &path, Some(&fields));
        }
    }

    let changes = compare(node, &live, &object);
    let mut conflicts = Vec::new();
    for other in managers.others(author, true) {
        let disputed = other.fields.common(&changes.set).common(&fields);
        let paths = disputed.paths();
        conflicts.extend(paths.iter().map(|path| (other.display(), display(path))));
        other.fields.subtract(&disputed);
        other.fields.cut(&changes.removed);
    }
    if !conflicts.is_empty() && !force {
        conflicts.sort_by(|a, b| a.0.cmp(&b.0));
        return Err(ApplyConflict { fields: conflicts });
    }
    managers.write(&mut object);
    Ok(object)
}

/// Notes in an object that a plain write of an author has made it of another.
pub fn track(node: &Node, before: Option<&Value>, after: &mut Value, author: Author<'_>) {
    let nothing = json!({});
    let before = before.unwrap_or(&nothing);
    let mut managers = Managers::brought(before, after, author.subresource);
    let changes = compare(node, before, after);
    let set = tracked(changes.set, author.subresource);
    for other in managers.others(author, false) {
        other.fields.subtract(&set);
        other.fields.cut(&changes.removed);
    }
    let mut mine = managers.entry(author, false).fields.clone();
    mine.cut(&changes.removed);
    mine.add(&set);
    managers.give(author, false, mine);
    managers.write(after);
}

/// Leaves out what nobody manages: identity, what the server writes, and, but for its own
/// subresource, the status.
fn tracked(mut fields: Fields, subresource: &str) -> Fields {
    fields.own = false;
    if subresource == "status" {
        fields.below.retain(|step, _| step == "f:status");
        return fields;
    }
    for step in ["f:apiVersion", "f:kind", "f:status"] {
        fields.below.remove(step);
    }
    if let Some(metadata) = fields.below.get_mut("f:metadata") {
        metadata.own = false;
        for name in [
            "name",
            "namespace",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        ] {
            metadata.below.remove(&field_step(name));
        }
        if metadata.is_empty() {
            fields.below.remove("f:metadata");
        }
    }
    fields
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn merge(node: &Node, object: &mut Value, wanted: &Value) {
    match wanted {
        Value::Object(wanted) if !node.is_atomic() => {
            let map = object_mut(object);
            for (name, value) in wanted {
                let atomic = node.field(name).is_some_and(|field| field.atomic);
                match node.child(name).filter(|_| !atomic) {
                    // No items are no list.
                    Some(child)
                        if value.as_array().is_some_and(Vec::is_empty)
                            && *child.list().1 != ListKind::Atomic
                            && !map.contains_key(name) => {}
                    Some(child) => merge(child, map.entry(name).or_insert(Value::Null), value),
                    None => {
                        map.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        Value::Array(wanted) if *node.list().1 != ListKind::Atomic => {
            let (item, kind) = node.list();
            if !object.is_array() {
                *object = Value::Array(Vec::new());
            }
            let Value::Array(list) = object else { return };
            merge_lists(item, kind, list, wanted);
        }
        other => *object = other.clone(),
    }
}

/// Merges lists by the steps to their items. Items that only one side has stay where they
/// are beside their neighbours; those that both have take the order that is wanted.
fn merge_lists(item: &Node, kind: &ListKind, list: &mut Vec<Value>, wanted: &[Value]) {
    let steps = |items: &[Value]| -> Vec<Option<String>> {
        items.iter().map(|value| item_step(value, kind)).collect()
    };
    let (old_steps, new_steps) = (steps(list), steps(wanted));
    let old = std::mem::take(list);
    let merged = |index: usize| {
        let mut value = wanted[index].clone();
        let known = old_steps.iter().position(|step| *step == new_steps[index]);
        if let Some(known) = known.filter(|_| value.is_object()) {
            value = old[known].clone();
            merge(item, &mut value, &wanted[index]);
        }
        value
    };
    let mut shared = new_steps.iter().filter(|step| old_steps.contains(step)).peekable();
    let (mut left, mut right) = (0, 0);
    while left < old.len() || right < wanted.len() {
        if let (Some(mine), Some(theirs)) = (old_steps.get(left), new_steps.get(right)) {
            if mine == theirs {
                list.push(merged(right));
                (left, right) = (left + 1, right + 1);
                shared.next();
                continue;
            }
            // It comes where it is wanted.
            if new_steps.contains(mine) && shared.peek().is_some_and(|next| *next != mine) {
                left += 1;
                continue;
            }
        }
        if let Some(mine) = old_steps.get(left) {
            match new_steps.iter().position(|step| step == mine) {
                None => {
                    list.push(old[left].clone());
                    left += 1;
                    continue;
                }
                Some(place) if place < right => left += 1,
                Some(_) => {}
            }
        }
        if right < wanted.len() {
            list.push(merged(right));
            if shared.peek() == Some(&&new_steps[right]) {
                shared.next();
            }
            right += 1;
        }
    }
}

/// Takes out what a path leads to, and what holds nothing without it, unless that is wanted
/// empty.
fn remove(node: &Node, object: &mut Value, path: &[String], wanted: Option<&Fields>) {
    let below = |step: &String| wanted.and_then(|wanted| wanted.below.get(step));
    let Some((first, rest)) = path.split_first() else { return };
    if let Some(field) = first.strip_prefix("f:") {
        let Value::Object(map) = object else { return };
        if rest.is_empty() {
            map.remove(field);
        } else if let (Some(inner), Some(child)) = (map.get_mut(field), node.child(field)) {
            let was_empty = is_hollow(inner);
            remove(child, inner, rest, below(first));
            let stays = below(first).is_some_and(|wanted| wanted.own);
            // What loses its last part goes; where nothing is known of it, null stays.
            if !was_empty && !stays && is_hollow(inner) {
                if *child.resolve() == Node::Any {
                    *inner = Value::Null;
                } else {
                    map.remove(field);
                }
            }
        }
        return;
    }
    let (item, kind) = node.list();
    let Value::Array(list) = object else { return };
    let is_at = |value: &Value| match first.strip_prefix("k:") {
        // Read, so that another order of the keys means the same item.
        Some(keys) => {
            let wanted: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let found = item_step(value, kind);
            let found =
                found.as_deref().and_then(|step| step.strip_prefix("k:")).map(str::to_owned);
            found.and_then(|found| serde_json::from_str(&found).ok()) == Some(wanted)
        }
        None => item_step(value, kind).as_ref() == Some(first),
    };
    if rest.is_empty() {
        list.retain(|value| !is_at(value));
    } else if let Some(value) = list.iter_mut().find(|value| is_at(value)) {
        remove(item, value, rest, below(first));
    }
}
