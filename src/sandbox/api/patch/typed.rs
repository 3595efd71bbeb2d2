//! Whether what a manager applies can be owned field by field: lists with keys need them.

use serde_json::Value;

use super::{
    super::schema::{ListKind, Node},
    fields::{display, field_step, item_step},
};

/// Where a value is not what its type needs to be merged, in the words of server-side apply.
pub fn misfits(node: &Node, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(node, value, &mut Vec::new(), &mut found);
    found
}

fn walk(node: &Node, value: &Value, path: &mut Vec<String>, found: &mut Vec<String>) {
    let wrong = |path: &[String], text: String| format!("{}: {text}", display(path));
    match (node.resolve(), value) {
        (_, Value::Null) | (Node::Any | Node::Leaf(_) | Node::Named(_), _) => {}
        (Node::Struct(_) | Node::Map { .. }, Value::Object(map)) => {
            for (name, value) in map {
                if let Some(child) = node.child(name) {
                    path.push(field_step(name));
                    walk(child, value, path, found);
                    path.pop();
                }
            }
        }
        (Node::Struct(_) | Node::Map { .. }, other) => {
            found.push(wrong(path, format!("expected map, got &{{{}}}", plain(other))));
        }
        (Node::List { item, kind, .. }, Value::Array(items)) => {
            let mut seen: Vec<String> = Vec::new();
            for (index, value) in items.iter().enumerate() {
                if *kind == ListKind::Atomic {
                    continue;
                }
                if matches!(kind, ListKind::Keyed(_)) && !value.is_object() {
                    let text = format!(
                        "element {index}: associative list with keys may not have non-map elements"
                    );
                    found.push(wrong(path, text));
                    continue;
                }
                let Some(step) = item_step(value, kind) else {
                    found.push(wrong(path, keyless(index, value, kind)));
                    continue;
                };
                if seen.contains(&step) {
                    let key = display(std::slice::from_ref(&step));
                    found.push(wrong(path, format!("duplicate entries for key {key}")));
                    continue;
                }
                path.push(step.clone());
                seen.push(step);
                walk(item, value, path, found);
                path.pop();
            }
        }
        (Node::List { .. }, other) => {
            found.push(wrong(path, format!("expected list, got &{{{}}}", plain(other))));
        }
    }
}

fn keyless(index: usize, value: &Value, kind: &ListKind) -> String {
    let ListKind::Keyed(keys) = kind else { return format!("element {index}: no value") };
    let missing = keys.iter().filter(|key| value.get(&key.name).is_none() && key.default.is_none());
    let missing: Vec<_> = missing.map(|key| format!("{:?}", key.name)).collect();
    format!(
        "element {index}: associative list with keys has an element that omits key field {} (and \
         doesn't have default value)",
        missing.join(", ")
    )
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::super::resource::PODS, *};

    #[test]
    fn lists_with_keys_need_them_and_each_but_once() {
        let pod = |containers: Value| json!({"spec": {"containers": containers}});
        for (pod, expected) in [
            (pod(json!([{"name": "a"}, {"name": "b"}])), vec![]),
            (
                pod(json!([{"name": "a"}, {"name": "a"}])),
                vec![".spec.containers: duplicate entries for key [name=\"a\"]"],
            ),
            (
                pod(json!([{"image": "a"}])),
                vec![
                    ".spec.containers: element 0: associative list with keys has an element that \
                     omits key field \"name\" (and doesn't have default value)",
                ],
            ),
            (pod(json!({})), vec![".spec.containers: expected list, got &{{}}"]),
        ] {
            assert_eq!(misfits(PODS.schema(), &pod), expected, "{pod}");
        }
    }
}
