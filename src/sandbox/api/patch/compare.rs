//! What changed between two states of an object, field by field.

use serde_json::{Value, json};

use super::{
    super::schema::Node,
    fields::{Fields, field_step, item_step, item_steps},
};

/// Fields that differ.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New, or with another value.
    pub set: Fields,
    /// Gone.
    pub removed: Fields,
}

/// Compares two states.
pub fn compare(node: &Node, before: &Value, after: &Value) -> Changes {
    let mut changes = Changes::default();
    walk(node, before, after, &mut changes.set, &mut changes.removed);
    changes
}

fn walk(node: &Node, before: &Value, after: &Value, set: &mut Fields, removed: &mut Fields) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) if !node.is_atomic() => {
            for (name, value) in new {
                let step = field_step(name);
                let atomic = node.field(name).is_some_and(|field| field.atomic);
                let child = node.child(name).filter(|_| !atomic);
                match (old.get(name), child) {
                    (None, Some(child)) if is_always_there(node, name) => {
                        let empty = if value.is_array() { json!([]) } else { json!({}) };
                        deeper(child, &empty, value, step, set, removed);
                    }
                    (None, Some(child)) => {
                        set.below.insert(step, Fields::of_new(child, value));
                    }
                    (Some(old), Some(child)) => deeper(child, old, value, step, set, removed),
                    (old, None) => {
                        if old != Some(value) {
                            set.below.insert(step, Fields::place());
                        }
                    }
                }
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                let gone = match node.child(name) {
                    Some(child) => Fields::of_new(child, value),
                    None => Fields::place(),
                };
                removed.below.insert(field_step(name), gone);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let (item, kind) = node.list();
            let known = old.is_empty() || item_steps(old, kind).is_some();
            let Some(steps) = item_steps(new, kind).filter(|_| known) else {
                set.own = true;
                return;
            };
            let known =
                |step: &str| old.iter().find(|old| item_step(old, kind).as_deref() == Some(step));
            for (step, value) in steps.iter().zip(new) {
                match known(step) {
                    Some(old) => deeper(item, old, value, step.clone(), set, removed),
                    None => {
                        let mut fresh = Fields::of_new(item, value);
                        fresh.own = true;
                        set.below.insert(step.clone(), fresh);
                    }
                }
            }
            for value in old {
                let Some(step) = item_step(value, kind) else { continue };
                if !steps.contains(&step) {
                    let mut gone = Fields::of_new(item, value);
                    gone.own = true;
                    removed.below.insert(step, gone);
                }
            }
        }
        _ => set.own = true,
    }
}

/// Whether a type's objects have a field also where nobody states it: in Go these are parts
/// of the struct and not pointers, so that whoever fills them first doesn't add them.
fn is_always_there(node: &Node, name: &str) -> bool {
    const PARTS: [&str; 20] = [
        "acceptedNames",
        "containers",
        "daemonEndpoints",
        "involvedObject",
        "jobTemplate",
        "kubeletEndpoint",
        "loadBalancer",
        "metadata",
        "names",
        "nodeInfo",
        "podSelector",
        "resources",
        "scaleTargetRef",
        "source",
        "spec",
        "status",
        "strategy",
        "template",
        "updateStrategy",
        "versions",
    ];
    let Node::Struct(found) = node.resolve() else { return false };
    let is_pointer = name == "template" && found.name.ends_with(".ReplicationControllerSpec");
    !found.name.is_empty() && PARTS.contains(&name) && !is_pointer
}

fn deeper(
    node: &Node,
    before: &Value,
    after: &Value,
    step: String,
    set: &mut Fields,
    removed: &mut Fields,
) {
    let (mut inner_set, mut inner_removed) = (Fields::default(), Fields::default());
    if before.is_object() && after.is_object() || before.is_array() && after.is_array() {
        walk(node, before, after, &mut inner_set, &mut inner_removed);
    } else if before != after {
        inner_set = Fields::of_new(node, after);
    }
    if !inner_set.is_empty() {
        set.below.insert(step.clone(), inner_set);
    }
    if !inner_removed.is_empty() {
        removed.below.insert(step, inner_removed);
    }
}
