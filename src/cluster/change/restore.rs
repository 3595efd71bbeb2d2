//! How an object is put back without undoing what somebody else has done to it since.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What the API server keeps in `metadata` and nobody restores.
const KEPT: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// An object without what the API server keeps of it: what a person would have written.
pub(super) fn plain(object: &Value) -> Value {
    let mut plain = object.clone();
    if let Some(fields) = plain.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !KEPT.contains(&key.as_str()));
    }
    plain
}

/// What an object becomes when a change of it is taken back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Restored {
    /// The object as it should be.
    pub(super) object: Value,
    /// Fields that somebody else has changed since; they stay as they are.
    pub(super) conflicts: Vec<String>,
}

/// Takes back what led from `before` to `after`, field by field. A field that by now is
/// neither as it was nor as the change left it is somebody else's, and stays.
pub(super) fn restore(before: &Value, after: &Value, current: &Value) -> Restored {
    let mut conflicts = Vec::new();
    let object = field(Some(before), Some(after), Some(current), "", &mut conflicts);
    Restored { object: object.unwrap_or(Value::Null), conflicts }
}

fn field(
    before: Option<&Value>,
    after: Option<&Value>,
    current: Option<&Value>,
    path: &str,
    conflicts: &mut Vec<String>,
) -> Option<Value> {
    if before == after || current == before {
        return current.cloned();
    }
    if current == after {
        return before.cloned();
    }
    let (Some(before), Some(after), Some(current)) = (map(before), map(after), map(current)) else {
        conflicts.push(path.to_owned());
        return current.cloned();
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).chain(current.keys()).collect();
    let mut restored = Map::new();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let value = field(before.get(key), after.get(key), current.get(key), &path, conflicts);
        restored.extend(value.map(|value| (key.clone(), value)));
    }
    Some(Value::Object(restored))
}

/// A mapping; one that isn't there is empty.
fn map(value: Option<&Value>) -> Option<Map<String, Value>> {
    match value {
        None => Some(Map::new()),
        Some(value) => value.as_object().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_changed_is_taken_back() {
        let before = json!({"spec": {"a": 1, "b": 2, "list": [1]}});
        let after = json!({"spec": {"a": 9, "c": 3, "list": [1, 2]}});
        for (current, restored, conflicts, why) in [
            (after.clone(), before.clone(), &[][..], "nobody else was there"),
            (before.clone(), before.clone(), &[], "the change was never made"),
            (
                json!({"spec": {"a": 9, "c": 3, "list": [1, 2], "d": 4}}),
                json!({"spec": {"a": 1, "b": 2, "list": [1], "d": 4}}),
                &[],
                "somebody added a field",
            ),
            (
                json!({"spec": {"a": 5, "c": 3, "list": [1, 2]}}),
                json!({"spec": {"a": 5, "b": 2, "list": [1]}}),
                &["spec.a"],
                "somebody changed the same field",
            ),
            (
                json!({"spec": {"a": 9, "b": 7, "c": 3, "list": [1, 2, 3]}}),
                json!({"spec": {"a": 1, "b": 7, "list": [1, 2, 3]}}),
                &["spec.b", "spec.list"],
                "somebody changed a list, and put back what was removed",
            ),
            (json!({"spec": 1}), json!({"spec": 1}), &["spec"], "it is another thing by now"),
        ] {
            let found = restore(&before, &after, &current);
            assert_eq!(found.object, restored, "{why}");
            assert_eq!(found.conflicts, conflicts, "{why}");
        }
    }

    #[test]
    fn labels_that_were_never_there_go_again() {
        let before = json!({"metadata": {"name": "x"}});
        let after = json!({"metadata": {"name": "x", "labels": {"a": "1"}}});
        let current = json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2"}}});
        let restored = restore(&before, &after, &current);
        assert_eq!(restored.object, json!({"metadata": {"name": "x", "labels": {"b": "2"}}}));
        assert_eq!(restored.conflicts, [""; 0]);
    }

    #[test]
    fn what_the_server_keeps_is_no_part_of_an_object() {
        let object = json!({
            "kind": "NetworkPolicy",
            "metadata": {"name": "x", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"}},
            "status": {"conditions": []},
        });
        let plain = plain(&object);
        let metadata = json!({"name": "x", "labels": {"a": "b"}});
        assert_eq!(plain, json!({"kind": "NetworkPolicy", "metadata": metadata}));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![(0..3u8).prop_map(Value::from), Just(json!([1])), Just(json!([]))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn an_unmeddled_change_is_taken_back_whole(before in value(), after in value()) {
            let restored = restore(&before, &after, &after);
            prop_assert_eq!(restored, Restored { object: before, conflicts: Vec::new() });
        }

        #[test]
        fn a_change_of_nothing_leaves_everything(before in value(), current in value()) {
            let restored = restore(&before, &before, &current);
            prop_assert_eq!(restored, Restored { object: current, conflicts: Vec::new() });
        }
    }
}
