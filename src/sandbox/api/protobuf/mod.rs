//! Kubernetes' protobuf, read into JSON: what typed Go clients, kubectl's `create` among
//! them, send.
//!
//! A body is four bytes of magic and an envelope with version, kind and the object. Fields
//! are numbered on the wire; their numbers stand in `fields.txt`, their types in the API's
//! schema. Answers are JSON: who sends protobuf takes that too.

mod wire;

use std::{collections::HashMap, sync::LazyLock};

use serde_json::{Map, Value, json};

use super::schema::{Leaf, Node, builtin};
use wire::{Field, Malformed, Reader};

const MAGIC: &[u8] = b"k8s\0";
const FACTS: &str = include_str!("fields.txt");
/// Types that hold types like themselves can be nested without end by a malicious body.
const DEEPEST: u32 = 64;

/// What a number stands for.
#[derive(Debug)]
enum Named {
    Field(&'static str),
    /// A message of its own, whose fields are those of the type that it stands in.
    Part(&'static str),
}

type Numbers = HashMap<u32, Named>;

static NUMBERS: LazyLock<HashMap<&'static str, Numbers>> = LazyLock::new(|| {
    let lines = FACTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(numbers).collect()
});

fn numbers(line: &'static str) -> Option<(&'static str, Numbers)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let numbers = words.filter_map(|word| {
        let (field, number) = word.split_once('=')?;
        let named = match field.strip_prefix('+') {
            Some(part) => Named::Part(part),
            None => Named::Field(field),
        };
        Some((number.parse().ok()?, named))
    });
    Some((name, numbers.collect()))
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it, or that its kind isn't known in this form.
pub fn read(bytes: &[u8]) -> Result<Value, Malformed> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Malformed("it does not begin with k8s\\0"))?;
    let (mut meta, mut raw) = (&[][..], &[][..]);
    for field in Reader::new(envelope) {
        match field? {
            (1, Field::Bytes(bytes)) => meta = bytes,
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut version, mut kind) = (String::new(), String::new());
    for field in Reader::new(meta) {
        match field? {
            (1, Field::Bytes(bytes)) => version = text(bytes)?,
            (2, Field::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let kinds = &builtin().kinds;
    let name = kinds.get(&(version.clone(), kind.clone())).or_else(|| {
        // Clients state the options of a deletion in the version of what they delete.
        let options = kind == "DeleteOptions";
        options.then(|| kinds.get(&("v1".to_owned(), kind.clone()))).flatten()
    });
    let name = name.ok_or(Malformed("its kind is not read in this form"))?;
    let mut object = message(&Node::Named(name.clone()), name, raw, 0)?;
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a text is not UTF-8"))
}

/// Reads a message by the numbers of one type and the fields of another, which are the same
/// but for parts.
fn message(
    node: &Node,
    numbered: &str,
    bytes: &[u8],
    depth: u32,
) -> Result<Map<String, Value>, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed("it is nested too deeply"));
    }
    let numbers = NUMBERS.get(numbered).ok_or(Malformed("a type is not read in this form"))?;
    let mut object = Map::new();
    for field in Reader::new(bytes) {
        let (number, field) = field?;
        match numbers.get(&number) {
            // A field of a newer version.
            None => {}
            Some(Named::Part(part)) => {
                let Field::Bytes(bytes) = field else {
                    return Err(Malformed("a part is no message"));
                };
                object.extend(message(node, part, bytes, depth + 1)?);
            }
            Some(Named::Field(name)) => {
                let child = node.child(name).unwrap_or(&Node::Any);
                add(&mut object, name, child, &field, depth)?;
            }
        }
    }
    Ok(object)
}

fn add(
    object: &mut Map<String, Value>,
    name: &str,
    node: &Node,
    field: &Field<'_>,
    depth: u32,
) -> Result<(), Malformed> {
    match node.resolve() {
        Node::List { item, .. } => {
            let list = object.entry(name).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(value(item, field, depth)?);
            }
        }
        Node::Map { item, .. } => {
            let Field::Bytes(bytes) = field else { return Err(Malformed("a map is no message")) };
            let (mut key, mut entry) = (String::new(), empty(item));
            for field in Reader::new(bytes) {
                match field? {
                    (1, Field::Bytes(bytes)) => key = text(bytes)?,
                    (2, field) => entry = value(item, &field, depth)?,
                    _ => {}
                }
            }
            let map = object.entry(name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, entry);
            }
        }
        _ => {
            let read = value(node, field, depth)?;
            // Go writes what it would leave out of JSON: empty texts say nothing.
            if read != "" && !read.is_null() {
                object.insert(name.to_owned(), read);
            }
        }
    }
    Ok(())
}

fn empty(node: &Node) -> Value {
    match node.resolve() {
        Node::Leaf(_) => "".into(),
        Node::List { .. } => json!([]),
        _ => json!({}),
    }
}

fn value(node: &Node, field: &Field<'_>, depth: u32) -> Result<Value, Malformed> {
    match (node.resolve(), field) {
        (Node::Leaf(leaf), field) => leaf_value(*leaf, field),
        (Node::Struct(found), Field::Bytes(bytes)) => {
            Ok(Value::Object(message(node, &found.name, bytes, depth + 1)?))
        }
        // Lists of lists: the one kind is the values of `extra`.
        (Node::List { item, .. }, Field::Bytes(bytes)) => {
            let mut list = Vec::new();
            for field in Reader::new(bytes) {
                list.push(value(item, &field?.1, depth + 1)?);
            }
            Ok(list.into())
        }
        // Foreign JSON travels as text in a message of one field.
        (Node::Any, Field::Bytes(bytes)) => {
            for field in Reader::new(bytes) {
                if let (1, Field::Bytes(raw)) = field? {
                    return serde_json::from_slice(raw).map_err(|_| Malformed("raw JSON is none"));
                }
            }
            Ok(Value::Null)
        }
        _ => Err(Malformed("a field is of another type")),
    }
}

fn leaf_value(leaf: Leaf, field: &Field<'_>) -> Result<Value, Malformed> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    Ok(match (leaf, field) {
        (Leaf::String, Field::Bytes(bytes)) => text(bytes)?.into(),
        (Leaf::Bytes, Field::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        // Negative numbers travel as large ones.
        (Leaf::Int32 | Leaf::Int64, Field::Number(number)) => (number.cast_signed()).into(),
        (Leaf::Boolean, Field::Number(number)) => (*number != 0).into(),
        (Leaf::Number, Field::Double(number)) => (*number).into(),
        (Leaf::Quantity, Field::Bytes(bytes)) => {
            let mut quantity = "0".to_owned();
            for field in Reader::new(bytes) {
                if let (1, Field::Bytes(bytes)) = field? {
                    quantity = text(bytes)?;
                }
            }
            quantity.into()
        }
        (Leaf::IntOrString, Field::Bytes(bytes)) => {
            let (mut is_text, mut number, mut word) = (false, 0, String::new());
            for field in Reader::new(bytes) {
                match field? {
                    (1, Field::Number(kind)) => is_text = kind == 1,
                    (2, Field::Number(found)) => number = found.cast_signed(),
                    (3, Field::Bytes(bytes)) => word = text(bytes)?,
                    _ => {}
                }
            }
            if is_text { word.into() } else { number.into() }
        }
        (Leaf::Time | Leaf::MicroTime, Field::Bytes(bytes)) => {
            let (mut seconds, mut nanos) = (0, 0);
            for field in Reader::new(bytes) {
                match field? {
                    (1, Field::Number(number)) => seconds = number.cast_signed(),
                    (2, Field::Number(number)) => nanos = i32::try_from(number).unwrap_or_default(),
                    _ => {}
                }
            }
            if (seconds, nanos) == (0, 0) {
                return Ok(Value::Null);
            }
            let time = jiff::Timestamp::new(seconds, nanos);
            time.map_err(|_| Malformed("a time is out of range"))?.to_string().into()
        }
        _ => return Err(Malformed("a field is of another type")),
    })
}

#[cfg(test)]
mod tests;
