//! Values as Go's library shows them in its errors.

use serde_json::Value;

use super::super::super::failure::Failure;

/// `map[containerPort:80 name:web]`
pub(super) fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| format!("{key}:{}", go(value)));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        plain => plain.to_string(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// There should be a list.
pub(super) fn expected_list(found: &Value) -> Failure {
    let found = type_of(found);
    Failure::unexplained(format!("expected a []interface {{}}, but received a {found}"))
}

/// There should be a map.
pub(super) fn expected_map(found: &Value) -> Failure {
    let found = type_of(found);
    Failure::unexplained(format!("expected a map[string]interface {{}}, but received a {found}"))
}

/// An item that can't be told from others.
pub(super) fn no_key(item: &Value, key: &str) -> Failure {
    let item = go(item);
    Failure::unexplained(format!("map: {item} does not contain declared merge key: {key}"))
}
