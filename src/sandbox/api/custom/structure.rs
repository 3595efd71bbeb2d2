//! The structure of a schema: which fields there are, how lists merge, what defaults say.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::{
    object::Object,
    schema::{Field, Key, Leaf, ListKind, Merge, Node, Struct},
};

/// The type of the objects of a version.
pub(super) fn root(schema: &Value) -> Node {
    if schema.get("type").is_none() && schema.get("properties").is_none() {
        // A version without a schema, which only definitions of old had.
        return with_metadata(Struct { open: true, ..Struct::default() });
    }
    match node(schema) {
        Node::Struct(found) => with_metadata(found),
        _ => with_metadata(Struct { open: is_open(schema), ..Struct::default() }),
    }
}

fn with_metadata(mut object: Struct) -> Node {
    let text = || Node::Leaf(Leaf::String);
    let metadata = Node::Named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta".to_owned());
    for (name, node) in [("apiVersion", text()), ("kind", text()), ("metadata", metadata)] {
        let field =
            Field { node, required: false, atomic: false, omits_zero: false, replaced: false };
        object.fields.insert(name.to_owned(), field);
    }
    Node::Struct(object)
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn node(schema: &Value) -> Node {
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object();
            match (properties, &schema["additionalProperties"]) {
                (None, item @ Value::Object(_)) => Node::Map { item: Box::new(node(item)), atomic },
                (None, Value::Bool(true)) => Node::Map { item: Box::new(Node::Any), atomic },
                (properties, _) => {
                    let object = Struct {
                        name: String::new(),
                        fields: properties.map(|known| fields(schema, known)).unwrap_or_default(),
                        atomic,
                        open: is_open(schema),
                    };
                    if schema["x-kubernetes-embedded-resource"] == true {
                        with_metadata(object)
                    } else {
                        Node::Struct(object)
                    }
                }
            }
        }
        Some("array") => Node::List {
            item: Box::new(node(&schema["items"])),
            kind: list(schema),
            merge: Merge::Replace,
        },
        // Whether a plain value fits is a question of validation.
        _ => Node::Any,
    }
}

fn fields(schema: &Value, properties: &Map<String, Value>) -> BTreeMap<String, Field> {
    let required = |name: &str| schema.items("/required").iter().any(|known| known == name);
    let fields = properties.iter().map(|(name, property)| {
        let field = Field {
            node: node(property),
            required: required(name),
            atomic: false,
            omits_zero: false,
            replaced: false,
        };
        (name.clone(), field)
    });
    fields.collect()
}

fn list(schema: &Value) -> ListKind {
    match schema.text("/x-kubernetes-list-type") {
        "map" => {
            let keys = schema.items("/x-kubernetes-list-map-keys").iter();
            let keys = keys.filter_map(Value::as_str).map(|name| Key {
                name: name.to_owned(),
                default: schema["items"]["properties"][name].get("default").cloned(),
            });
            ListKind::Keyed(keys.collect())
        }
        "set" => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

/// Fills in defaults, from the outside in.
pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let properties = schema["properties"].as_object();
            for (name, property) in properties.into_iter().flatten() {
                let Some(default) = property.get("default") else { continue };
                let missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => property["nullable"] != true,
                    Some(_) => false,
                };
                if missing {
                    map.insert(name.clone(), default.clone());
                }
            }
            map.retain(|name, inner| {
                let known = properties.and_then(|properties| properties.get(name));
                let known = known.or_else(|| schema.get("additionalProperties"));
                !inner.is_null()
                    || known.is_none_or(|known| {
                        known["nullable"] == true || *known == Value::Bool(true)
                    })
            });
            for (name, inner) in map {
                let known = properties.and_then(|properties| properties.get(name));
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    fill(schema, inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}
