//! Version 2 of the document as protobuf: kubectl takes nothing else when it checks a `List`.
//!
//! The messages are those of gnostic's `openapi.v2` package. Written is what clients read:
//! the types with their extensions, and the query parameters of each request.

use serde_json::{Map, Value};

/// What a client asks for.
pub(super) const WANTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What it is told that it gets: an `@` has no place in a media type.
pub(super) const TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field of bytes, text or another message.
    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text, unless it isn't there.
    fn text(&mut self, field: u64, value: Option<&Value>) -> &mut Self {
        if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
        self
    }

    fn message(&mut self, field: u64, message: Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    fn flag(&mut self, field: u64, value: Option<&Value>) -> &mut Self {
        if value.and_then(Value::as_bool) == Some(true) {
            self.varint(field << 3);
            self.varint(1);
        }
        self
    }

    /// A name with what it stands for.
    fn named(&mut self, field: u64, name: &str, value: Self) -> &mut Self {
        let mut named = Self::default();
        named.bytes(1, name.as_bytes()).message(2, value);
        self.message(field, named)
    }

    /// The fields whose names begin with `x-`. JSON is YAML.
    fn extensions(&mut self, field: u64, map: &Map<String, Value>) -> &mut Self {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            self.named(field, name, any(value));
        }
        self
    }
}

fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

/// The whole document.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, document.pointer("/info/title")).text(2, document.pointer("/info/version"));
    let mut message = Message::default();
    message.text(1, document.get("swagger")).message(2, info);
    let mut paths = Message::default();
    for (path, item) in entries(document, "paths") {
        paths.named(2, path, path_item(item));
    }
    let mut definitions = Message::default();
    for (name, definition) in entries(document, "definitions") {
        definitions.named(1, name, schema(definition));
    }
    message.message(8, paths).message(9, definitions);
    message.0
}

fn entries<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.get(field).and_then(Value::as_object).into_iter().flatten()
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(operation) = item.get(method).and_then(Value::as_object) {
            message.message(field, self::operation(operation));
        }
    }
    message
}

fn operation(operation: &Map<String, Value>) -> Message {
    let mut message = Message::default();
    message.text(5, operation.get("operationId"));
    let parameters = operation.get("parameters").and_then(Value::as_array);
    for parameter in parameters.into_iter().flatten().filter(|one| one["in"] == "query") {
        let mut query = Message::default();
        query
            .flag(1, parameter.get("required"))
            .text(2, parameter.get("in"))
            .text(4, parameter.get("name"))
            .text(6, parameter.get("type"));
        // An item is a parameter, which has no body, which is in the query.
        let (mut plain, mut parameter, mut item) =
            (Message::default(), Message::default(), Message::default());
        plain.message(3, query);
        parameter.message(2, plain);
        item.message(1, parameter);
        message.message(8, item);
    }
    message.extensions(13, operation);
    message
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    let Some(map) = schema.as_object() else { return message };
    message
        .text(1, map.get("$ref"))
        .text(2, map.get("format"))
        .text(3, map.get("title"))
        .text(4, map.get("description"));
    if let Some(default) = map.get("default") {
        message.message(5, any(default));
    }
    let texts = |field: &str| map.get(field).and_then(Value::as_array).into_iter().flatten();
    for name in texts("required").filter_map(Value::as_str) {
        message.bytes(19, name.as_bytes());
    }
    for value in texts("enum") {
        message.message(20, any(value));
    }
    match map.get("additionalProperties") {
        Some(Value::Bool(open)) => {
            let mut item = Message::default();
            item.varint(2 << 3);
            item.varint(u64::from(*open));
            message.message(21, item);
        }
        Some(value) => {
            let mut item = Message::default();
            item.message(1, self::schema(value));
            message.message(21, item);
        }
        None => {}
    }
    if let Some(kind) = map.get("type") {
        let mut item = Message::default();
        item.text(1, Some(kind));
        message.message(22, item);
    }
    if let Some(items) = map.get("items") {
        let mut item = Message::default();
        item.message(1, self::schema(items));
        message.message(23, item);
    }
    if map.contains_key("properties") {
        let mut properties = Message::default();
        for (name, property) in entries(schema, "properties") {
            properties.named(1, name, self::schema(property));
        }
        message.message(25, properties);
    }
    message.extensions(31, map);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_stand_under_their_numbers() {
        let mut small = Message::default();
        small.text(1, Some(&json!("2.0"))).flag(3, Some(&json!(true))).text(4, None);
        assert_eq!(small.0, [0x0a, 3, b'2', b'.', b'0', 0x18, 1]);
        let mut long = Message::default();
        long.bytes(31, &[0; 200]);
        assert_eq!(long.0[..4], [0xfa, 0x01, 0xc8, 0x01], "31 and 200 take two bytes each");
    }

    #[test]
    fn a_type_is_a_definition() {
        let text = json!({"type": "string"});
        // Type, 22: a list of one name.
        assert_eq!(schema(&text).0, [0xb2, 1, 8, 0x0a, 6, b's', b't', b'r', b'i', b'n', b'g']);
        let written = document(&json!({"swagger": "2.0", "definitions": {"A": text}}));
        let tail = [
            &[0x4a, 18, 0x0a, 16, 0x0a, 1, b'A', 0x12, 11][..],
            &schema(&json!({"type": "string"})).0,
        ]
        .concat();
        assert!(written.ends_with(&tail), "{written:?}");
    }
}
