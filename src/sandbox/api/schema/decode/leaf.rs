//! The one form of a single value, and what Go calls its type.

use serde_json::{Map, Number, Value};

use super::{
    super::{
        node::{Leaf, Node},
        quantity,
    },
    TypeError,
};

pub(super) fn zero(node: &Node) -> Value {
    match node {
        Node::Struct(_) | Node::Map { .. } => Value::Object(Map::new()),
        Node::List { .. } => Value::Array(Vec::new()),
        Node::Leaf(Leaf::String | Leaf::Bytes) => "".into(),
        Node::Leaf(Leaf::Int32 | Leaf::Int64 | Leaf::Number | Leaf::IntOrString) => 0.into(),
        Node::Leaf(Leaf::Boolean) => false.into(),
        Node::Leaf(Leaf::Quantity) => "0".into(),
        _ => Value::Null,
    }
}

pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A type as Go names it: `int32`, `[]v1.Container`, `map[string]string`.
pub(super) fn go_type(node: &Node) -> String {
    match node.resolve() {
        Node::Struct(node) if !node.name.is_empty() => {
            let mut parts = node.name.rsplitn(3, '.');
            let (name, version) = (parts.next().unwrap_or_default(), parts.next());
            format!("{}.{name}", version.unwrap_or_default())
        }
        Node::Struct(_) => "map[string]interface {}".to_owned(),
        Node::Map { item, .. } => format!("map[string]{}", go_type(item)),
        Node::List { item, .. } => format!("[]{}", go_type(item)),
        Node::Leaf(leaf) => match leaf {
            Leaf::String | Leaf::Quantity => "string",
            Leaf::Bytes => "[]uint8",
            Leaf::Int32 | Leaf::IntOrString => "int32",
            Leaf::Int64 => "int64",
            Leaf::Number => "float64",
            Leaf::Boolean => "bool",
            Leaf::Time | Leaf::MicroTime => "string",
        }
        .to_owned(),
        Node::Any | Node::Named(_) => "interface {}".to_owned(),
    }
}

/// A number without the exponent that its shortest form may have.
pub(super) fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}

pub(super) fn quantity(text: &str) -> Result<Value, TypeError> {
    quantity::canonical(text).map(Value::String).ok_or_else(|| {
        TypeError(
            "quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        )
    })
}

pub(super) fn time(leaf: Leaf, text: &str) -> Result<Value, TypeError> {
    let (form, layout) = match leaf {
        Leaf::MicroTime => ("%Y-%m-%dT%H:%M:%S%.6fZ", "2006-01-02T15:04:05.000000Z07:00"),
        _ => ("%Y-%m-%dT%H:%M:%SZ", "2006-01-02T15:04:05Z07:00"),
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.strftime(form).to_string().into()),
        Err(_) => Err(TypeError(format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""
        ))),
    }
}

pub(super) fn illegal_base64(text: &str, error: &base64::DecodeError) -> String {
    let place = match error {
        base64::DecodeError::InvalidByte(place, _)
        | base64::DecodeError::InvalidLastSymbol(place, _) => *place,
        _ => text.len().saturating_sub(text.len() % 4),
    };
    format!("illegal base64 data at input byte {place}")
}
