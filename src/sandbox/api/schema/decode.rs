//! From what a client sent to the canonical form of a type.
//!
//! Null fields, and empty lists and maps that needn't be there, are left out, as the API's
//! own types leave them out; quantities and times take their one form.

use serde_json::{Map, Value};

use self::leaf::{go_type, illegal_base64, is_zero, plain, quantity, time, zero};
use super::node::{Leaf, Node, Struct};

/// A value of the wrong type, in the words of Go's decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(String);

impl TypeError {
    /// An error in the words of another decoder.
    pub fn of(text: String) -> Self {
        Self(text)
    }
}

/// Where the walk is.
struct Walk {
    /// With indices, for messages on unknown fields.
    path: String,
    /// Names alone, for messages on types.
    names: Vec<String>,
    /// How many names lead to the outermost struct: 0 but in custom resources.
    base: usize,
    /// The innermost struct.
    within: String,
    unknown: Vec<String>,
}

/// The canonical form of a value, and the paths of fields that its type doesn't have.
///
/// # Errors
/// The first value that is not of its type.
pub fn decode(node: &Node, value: Value) -> Result<(Value, Vec<String>), TypeError> {
    let mut walk = Walk {
        path: String::new(),
        names: Vec::new(),
        base: 0,
        within: String::new(),
        unknown: Vec::new(),
    };
    let value = walk.value(node, value)?;
    Ok((value, walk.unknown))
}

impl Walk {
    fn value(&mut self, node: &Node, value: Value) -> Result<Value, TypeError> {
        match (node.resolve(), value) {
            (Node::Any | Node::Named(_), value) => Ok(value),
            (Node::Struct(node), Value::Object(map)) => self.fields(node, map),
            (Node::Map { item, .. }, Value::Object(map)) => {
                let mut out = Map::new();
                for (key, value) in map {
                    // Go's messages on types name the map, and not the key.
                    let length = self.path.len();
                    self.path = join(&self.path, &key);
                    let value = self.value(item, value)?;
                    self.path.truncate(length);
                    out.insert(key, value);
                }
                Ok(Value::Object(out))
            }
            (Node::List { item, .. }, Value::Array(items)) => {
                let length = self.path.len();
                let mut out = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    out.push(self.value(item, value)?);
                    self.path.truncate(length);
                }
                Ok(Value::Array(out))
            }
            // A null item of a list or map is the type's zero.
            (resolved, Value::Null) => Ok(zero(resolved)),
            (Node::Leaf(leaf), value) => self.leaf(*leaf, value),
            // What a custom resource holds is for its schema to check.
            (_, value) if self.within.is_empty() => Ok(value),
            (_, value) => Err(self.wrong(node, &value)),
        }
    }

    fn fields(&mut self, node: &Struct, map: Map<String, Value>) -> Result<Value, TypeError> {
        let outer = if node.name.is_empty() {
            None
        } else {
            let own = node.name.rsplit('.').next().unwrap_or_default().to_owned();
            if self.within.is_empty() {
                self.base = self.names.len();
            }
            Some(std::mem::replace(&mut self.within, own))
        };
        let mut out = Map::new();
        for (name, value) in map {
            let Some(field) = node.fields.get(&name) else {
                if node.open {
                    out.insert(name, value);
                } else {
                    self.unknown.push(join(&self.path, &name));
                }
                continue;
            };
            if value.is_null() {
                // Whether null is a value, only the schema of a custom resource says.
                if node.name.is_empty() {
                    out.insert(name, value);
                }
                continue;
            }
            let value = self.at(&name, |walk| walk.value(&field.node, value))?;
            if field.omits_zero && is_zero(&value) {
                continue;
            }
            let hollow = match &value {
                Value::Array(items) => items.is_empty(),
                Value::Object(map) => {
                    map.is_empty() && matches!(field.node.resolve(), Node::Map { .. })
                }
                _ => false,
            };
            if !hollow || field.required || node.name.is_empty() {
                out.insert(name, value);
            }
        }
        if let Some(outer) = outer {
            self.within = outer;
        }
        Ok(Value::Object(out))
    }

    /// Does something one name deeper.
    fn at<R>(&mut self, name: &str, with: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        self.names.push(name.to_owned());
        let result = with(self);
        self.names.pop();
        self.path.truncate(length);
        result
    }

    fn leaf(&self, leaf: Leaf, value: Value) -> Result<Value, TypeError> {
        let fits = match (leaf, &value) {
            (Leaf::String, Value::String(_))
            | (Leaf::Boolean, Value::Bool(_))
            | (Leaf::Number, Value::Number(_)) => true,
            (Leaf::Bytes, Value::String(text)) => {
                use base64::Engine;
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                if let Err(error) = decoded {
                    return Err(TypeError(illegal_base64(text, &error)));
                }
                true
            }
            (Leaf::Int32, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (Leaf::Int64, Value::Number(number)) => number.as_i64().is_some(),
            (Leaf::IntOrString, Value::String(_)) => true,
            (Leaf::IntOrString, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (Leaf::Quantity, Value::String(text)) => return quantity(text),
            (Leaf::Quantity, Value::Number(number)) => return quantity(&plain(number)),
            (Leaf::Time | Leaf::MicroTime, Value::String(text)) => return time(leaf, text),
            _ => false,
        };
        if fits { Ok(value) } else { Err(self.wrong(&Node::Leaf(leaf), &value)) }
    }

    fn wrong(&self, node: &Node, value: &Value) -> TypeError {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number)
                if matches!(
                    node.resolve(),
                    Node::Leaf(Leaf::Int32 | Leaf::Int64 | Leaf::IntOrString)
                ) =>
            {
                format!("number {number}")
            }
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let wanted = go_type(node);
        // Types that read themselves don't know where they stand.
        let own = matches!(node, Node::Leaf(Leaf::IntOrString));
        TypeError(if self.names.len() <= self.base || own {
            format!("json: cannot unmarshal {found} into Go value of type {wanted}")
        } else {
            format!(
                "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
                self.within,
                self.names[self.base..].join("."),
            )
        })
    }
}

/// The paths of fields that were given and are not in the canonical form.
pub fn missing(given: &Value, canonical: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    find_missing(given, canonical, "", &mut paths);
    paths
}

fn find_missing(given: &Value, canonical: &Value, path: &str, paths: &mut Vec<String>) {
    match (given, canonical) {
        (Value::Object(given), Value::Object(canonical)) => {
            for (key, value) in given {
                let path = join(path, key);
                match canonical.get(key) {
                    Some(known) => find_missing(value, known, &path, paths),
                    // Empty lists and maps may vanish without being unknown.
                    None if value.is_null() || *value == Value::Array(Vec::new()) => {}
                    None if value.as_object().is_some_and(Map::is_empty) => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(canonical)) => {
            for (index, (given, canonical)) in given.iter().zip(canonical).enumerate() {
                find_missing(given, canonical, &format!("{path}[{index}]"), paths);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

mod leaf;
#[cfg(test)]
mod tests;
