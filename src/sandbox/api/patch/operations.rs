//! JSON patches as the API server's library reads them, which differs from RFC 6902 where
//! that is strict: `replace` makes a field that isn't there, indices may count from the end.

use serde_json::Value;

use super::super::{body::no_map, failure::Failure};

/// An operation that doesn't fit the object; the API server doesn't say where.
struct Misfit;

/// Applies a list of operations.
///
/// # Errors
/// 400 for what is no operation, 422 for one that doesn't fit the object.
pub fn apply(object: &mut Value, operations: &[Value]) -> Result<(), Failure> {
    for operation in operations {
        if let Some(found) = no_map(operation) {
            return Err(Failure::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {found} into Go value of type \
                 handlers.jsonPatchOp"
            )));
        }
    }
    let fits = operations.iter().try_for_each(|operation| one(object, operation));
    fits.map_err(|Misfit| Failure::rejected_patch())
}

fn one(object: &mut Value, operation: &Value) -> Result<(), Misfit> {
    let text = |field: &str| operation[field].as_str().ok_or(Misfit);
    let (path, value) = (text("path")?, || operation["value"].clone());
    match text("op")? {
        "add" => add(object, path, value()),
        "remove" => take(object, path).map(|_| ()),
        "replace" if path.is_empty() => {
            *object = value();
            Ok(())
        }
        "replace" => replace(object, path, value()),
        "move" => {
            let value = take(object, text("from")?)?;
            add(object, path, value)
        }
        "copy" => {
            let value = get(object, text("from")?)?.cloned().unwrap_or_default();
            add(object, path, value)
        }
        "test" => {
            let found = get(object, path)?;
            if *found.unwrap_or(&Value::Null) == value() { Ok(()) } else { Err(Misfit) }
        }
        _ => Err(Misfit),
    }
}

/// The steps to the container, and the last one.
fn split(path: &str) -> Result<(Vec<String>, String), Misfit> {
    let rest = path.strip_prefix('/').ok_or(Misfit)?;
    let step = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let mut steps: Vec<String> = rest.split('/').map(step).collect();
    let last = steps.pop().ok_or(Misfit)?;
    Ok((steps, last))
}

fn container<'v>(object: &'v mut Value, steps: &[String]) -> Result<&'v mut Value, Misfit> {
    let mut place = object;
    for step in steps {
        place = match place {
            Value::Object(map) => map.get_mut(step).ok_or(Misfit)?,
            Value::Array(items) => {
                let index = index(step, items.len())?;
                &mut items[index]
            }
            _ => return Err(Misfit),
        };
    }
    if place.is_object() || place.is_array() { Ok(place) } else { Err(Misfit) }
}

/// The place of an item that is there.
fn index(step: &str, length: usize) -> Result<usize, Misfit> {
    let number: i64 = step.parse().map_err(|_| Misfit)?;
    let place = match usize::try_from(number) {
        Ok(place) => Some(place),
        Err(_) => usize::try_from(number.unsigned_abs()).ok().and_then(|n| length.checked_sub(n)),
    };
    place.filter(|place| *place < length).ok_or(Misfit)
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Misfit> {
    let (steps, last) = split(path)?;
    match container(object, &steps)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let place = index(&last, items.len() + 1)?;
            items.insert(place, value);
        }
        _ => return Err(Misfit),
    }
    Ok(())
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), Misfit> {
    let (steps, last) = split(path)?;
    match container(object, &steps)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) => {
            let place = index(&last, items.len())?;
            items[place] = value;
        }
        _ => return Err(Misfit),
    }
    Ok(())
}

fn take(object: &mut Value, path: &str) -> Result<Value, Misfit> {
    let (steps, last) = split(path)?;
    match container(object, &steps)? {
        Value::Object(map) => map.remove(&last).ok_or(Misfit),
        Value::Array(items) => {
            let place = index(&last, items.len())?;
            Ok(items.remove(place))
        }
        _ => Err(Misfit),
    }
}

fn get<'v>(object: &'v mut Value, path: &str) -> Result<Option<&'v Value>, Misfit> {
    if path.is_empty() {
        return Ok(Some(object));
    }
    let (steps, last) = split(path)?;
    match container(object, &steps)? {
        Value::Object(map) => Ok(map.get(&last)),
        Value::Array(items) => {
            let place = index(&last, items.len())?;
            Ok(items.get(place))
        }
        _ => Err(Misfit),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_done_as_the_api_server_does_them() {
        let start = json!({"a": {"b": 1}, "l": ["x", "y"]});
        for (operations, expected) in [
            (
                json!([{"op": "add", "path": "/a/c", "value": 2}]),
                Some(json!({"a": {"b": 1, "c": 2}, "l": ["x", "y"]})),
            ),
            (
                json!([{"op": "replace", "path": "/a/c", "value": 2}]),
                Some(json!({"a": {"b": 1, "c": 2}, "l": ["x", "y"]})),
            ),
            (
                json!([{"op": "add", "path": "/l/-1", "value": "z"}]),
                Some(json!({"a": {"b": 1}, "l": ["x", "y", "z"]})),
            ),
            (
                json!([{"op": "replace", "path": "/l/-1", "value": "z"}]),
                Some(json!({"a": {"b": 1}, "l": ["x", "z"]})),
            ),
            (
                json!([{"op": "move", "from": "/l/0", "path": "/a/~1~0"}]),
                Some(json!({"a": {"b": 1, "/~": "x"}, "l": ["y"]})),
            ),
            (
                json!([{"op": "copy", "from": "/a", "path": "/l/-"}]),
                Some(json!({"a": {"b": 1}, "l": ["x", "y", {"b": 1}]})),
            ),
            (json!([{"op": "test", "path": "/a/c", "value": null}]), Some(start.clone())),
            (json!([{"op": "remove", "path": "/a/c"}]), None),
            (json!([{"op": "test", "path": "/a/b", "value": 2}]), None),
            (json!([{"op": "add", "path": "/no/b", "value": 2}]), None),
            (json!([{"op": "add", "path": "/l/3", "value": 2}]), None),
            (json!([{"op": "add", "path": "a", "value": 2}]), None),
            (json!([{"op": "add", "value": 2}]), None),
            (json!([{"op": "no", "path": "/a", "value": 2}]), None),
            (json!([{"path": "/a", "value": 2}]), None),
        ] {
            let mut object = start.clone();
            let list = operations.as_array().expect("a list");
            let done = apply(&mut object, list).ok().map(|()| object);
            assert_eq!(done, expected, "{operations}");
        }
    }
}
