//! Events have two groups and are stored once, as the core group has them.

use serde_json::{Map, Value, json};

use super::super::object::object_mut;

/// The version of the older group, which is stored.
pub(in super::super) const STORED: &str = "v1";

/// Names of a field in the newer group and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = map.remove(from) {
        map.insert(to.to_owned(), value);
    }
}

/// What the API server always writes, if only as nothing; of either group.
pub(super) fn default(event: &mut Value) {
    let map = object_mut(event);
    let core = map.get("apiVersion").is_none_or(|version| version == STORED);
    let fields = [
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("reportingComponent", "".into()),
        ("reportingInstance", "".into()),
        ("eventTime", Value::Null),
    ];
    for (field, nothing) in fields.into_iter().filter(|_| core) {
        map.entry(field).or_insert(nothing);
    }
}

/// An event of the newer group as it is stored.
pub(in super::super) fn stored_event(mut event: Value) -> Value {
    let map = object_mut(&mut event);
    for (newer, core) in NAMES {
        rename(map, newer, core);
    }
    // What the core group has always written, if only as nothing.
    map.entry("involvedObject").or_insert_with(|| json!({}));
    map.insert("apiVersion".into(), STORED.into());
    event
}

/// A stored event as one of the newer group.
pub(in super::super) fn newer_event(event: &Value) -> Value {
    let mut event = event.clone();
    let map = object_mut(&mut event);
    for (newer, core) in NAMES {
        rename(map, core, newer);
    }
    map.insert("apiVersion".into(), "events.k8s.io/v1".into());
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_group_shows_the_others_events() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "text",
            "involvedObject": {"name": "web"}, "reason": "Started", "count": 2,
            "source": {"component": "kubelet"}, "reportingComponent": "kubelet",
        });
        let newer = newer_event(&core);
        for (field, expected) in [
            ("apiVersion", json!("events.k8s.io/v1")),
            ("note", json!("text")),
            ("regarding", json!({"name": "web"})),
            ("deprecatedCount", json!(2)),
            ("reportingController", json!("kubelet")),
            ("message", Value::Null),
        ] {
            assert_eq!(newer[field], expected, "{field}");
        }
        assert_eq!(stored_event(newer), core);
    }
}
