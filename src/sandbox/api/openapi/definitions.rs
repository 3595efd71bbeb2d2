//! The types of some kinds, and everything that they refer to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{resource::Resource, schema::builtin};

const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// The definitions that a document about these rows needs.
pub(super) fn of(rows: &[&'static Resource]) -> BTreeMap<String, Value> {
    let mut definitions = BTreeMap::new();
    let mut wanted: Vec<String> = ["DeleteOptions", "ListMeta", "ObjectMeta", "Status"]
        .map(|name| format!("{META}{name}"))
        .into();
    for row in rows {
        let name = name(row);
        if row.is_builtin() {
            wanted.push(name.clone());
            if row.subresources().any(|sub| sub.name == "scale") {
                wanted.push("io.k8s.api.autoscaling.v1.Scale".to_owned());
            }
        } else {
            definitions.insert(name.clone(), custom(row));
        }
        definitions.insert(format!("{name}List"), list(row, &name));
    }
    let custom: Vec<_> = definitions.values().cloned().collect();
    custom.iter().for_each(|definition| references(definition, &mut wanted));
    while let Some(name) = wanted.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let Some(definition) = builtin().definitions.get(&name) else { continue };
        references(definition, &mut wanted);
        definitions.insert(name, definition.clone());
    }
    definitions
}

/// The name of a kind's definition.
pub(super) fn name(row: &Resource) -> String {
    let known = builtin().kinds.get(&(row.api_version(), row.kind.to_owned()));
    known.cloned().unwrap_or_else(|| {
        let group: Vec<_> = row.group.split('.').rev().collect();
        format!("{}.{}.{}", group.join("."), row.version, row.kind)
    })
}

fn references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                into.push(reference.trim_start_matches(REFERENCE).to_owned());
            }
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

fn kinds(row: &Resource, suffix: &str) -> Value {
    json!([{"group": row.group, "kind": format!("{}{suffix}", row.kind), "version": row.version}])
}

/// Fields that every object has, as references.
fn add_metadata(definition: &mut Value, metadata: &str) {
    let status = builtin().definitions.get(&format!("{META}Status"));
    for field in ["apiVersion", "kind"] {
        let described = status.and_then(|status| status.pointer(&format!("/properties/{field}")));
        definition["properties"][field] = described.cloned().unwrap_or_default();
    }
    definition["properties"]["metadata"] =
        json!({"allOf": [{"$ref": format!("{REFERENCE}{META}{metadata}")}]});
}

fn list(row: &Resource, name: &str) -> Value {
    let mut list = json!({
        "type": "object",
        "description": format!("{0}List is a list of {0}", row.kind),
        "required": ["items"],
        "properties": {"items": {
            "type": "array", "description": format!("List of {}.", row.plural),
            "items": {"allOf": [{"$ref": format!("{REFERENCE}{name}")}]},
        }},
        "x-kubernetes-group-version-kind": kinds(row, "List"),
    });
    add_metadata(&mut list, "ListMeta");
    list
}

/// The type of a kind that is defined by an object, or by this crate.
fn custom(row: &Resource) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = match row.definition() {
        Some(custom) => custom.version.pointer("/schema/openAPIV3Schema").cloned(),
        None => Some(json!({"type": "object", "properties": {"spec": open, "status": open}})),
    };
    let mut schema = schema.unwrap_or(open);
    // A schema that leaves everything open says nothing of its fields to clients either.
    if schema.get("properties").is_some() {
        add_metadata(&mut schema, "ObjectMeta");
    }
    schema["x-kubernetes-group-version-kind"] = kinds(row, "");
    schema
}
