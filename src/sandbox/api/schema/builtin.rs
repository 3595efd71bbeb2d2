//! The types of the kinds that are built in, read once from k8s-openapi's schemas.
//!
//! These know fields, types and descriptions; how lists and maps are merged stands in
//! `merge.txt`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use k8s_openapi::{
    api::{
        authentication::v1 as authentication, authorization::v1 as authorization,
        autoscaling::v1 as autoscaling, core::v1 as core, policy::v1 as policy,
    },
    apimachinery::pkg::apis::meta::v1 as meta,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    super::resource,
    node::{Field, Key, Leaf, ListKind, Merge, Node, Struct},
};

const FACTS: &str = include_str!("merge.txt");
const ZERO: &str = include_str!("zero.txt");
const REFERENCE: &str = "#/components/schemas/";

/// Everything that is known of the built-in types.
#[derive(Debug)]
pub struct Builtin {
    /// The definitions as OpenAPI 3.0 writes them, by name.
    pub definitions: BTreeMap<String, Value>,
    /// The same as nodes.
    pub types: HashMap<String, Node>,
    /// The definition of each kind, by `apiVersion` and `kind`.
    pub kinds: HashMap<(String, String), String>,
}

/// The built-in types.
pub fn builtin() -> &'static Builtin {
    static BUILTIN: LazyLock<Builtin> = LazyLock::new(Builtin::read);
    &BUILTIN
}

impl Builtin {
    /// The type of a kind.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Node> {
        self.types.get(self.kinds.get(&(api_version.to_owned(), kind.to_owned()))?)
    }

    fn read() -> Self {
        let mut generator = SchemaSettings::openapi3().into_generator();
        let mut kinds = HashMap::new();
        for row in resource::ALL {
            if let Some(name) = row.define(&mut generator) {
                kinds.insert((row.api_version(), row.kind.to_owned()), name);
            }
        }
        define_others(&mut generator, &mut kinds);
        let mut definitions: BTreeMap<_, _> =
            generator.take_definitions(true).into_iter().collect();
        add_facts(&mut definitions);
        for ((version, kind), name) in &kinds {
            let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
            if let Some(definition) = definitions.get_mut(name) {
                definition["x-kubernetes-group-version-kind"] =
                    json!([{"group": group, "kind": kind, "version": version}]);
            }
        }
        let types = definitions
            .iter()
            .map(|(name, definition)| (name.clone(), type_of(name, definition)))
            .collect();
        let types = omit_zeros(types);
        Self { definitions, types, kinds }
    }
}

/// Kinds that are sent, but not stored as rows of the table.
fn define_others(generator: &mut SchemaGenerator, kinds: &mut HashMap<(String, String), String>) {
    macro_rules! kinds {
        ($($kind:ty),* $(,)?) => {$(
            generator.subschema_for::<$kind>();
            kinds.insert(
                (
                    <$kind as k8s_openapi::Resource>::API_VERSION.to_owned(),
                    <$kind as k8s_openapi::Resource>::KIND.to_owned(),
                ),
                <$kind as schemars::JsonSchema>::schema_name().into_owned(),
            );
        )*};
    }
    kinds![
        authentication::SelfSubjectReview,
        authentication::TokenRequest,
        authentication::TokenReview,
        authorization::LocalSubjectAccessReview,
        authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview,
        authorization::SubjectAccessReview,
        autoscaling::Scale,
        core::Binding,
        policy::Eviction,
    ];
    generator.subschema_for::<meta::DeleteOptions>();
    generator.subschema_for::<meta::Status>();
    generator.subschema_for::<meta::ListMeta>();
    let options = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned();
    for version in ["v1", "meta.k8s.io/v1"] {
        kinds.insert((version.to_owned(), "DeleteOptions".to_owned()), options.clone());
    }
}

fn add_facts(definitions: &mut BTreeMap<String, Value>) {
    for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(name), Some(field)) = (words.next(), words.next()) else { continue };
        let Some(definition) = definitions.get_mut(name) else { continue };
        let place = if field == "-" {
            Some(definition)
        } else {
            definition.pointer_mut(&format!("/properties/{field}"))
        };
        let Some(Value::Object(place)) = place else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (key, value) = match key {
                "list" => ("list-type", value.into()),
                "keys" => ("list-map-keys", value.split(',').collect()),
                "map" => ("map-type", value.into()),
                "patch" => ("patch-strategy", value.into()),
                _ => ("patch-merge-key", value.into()),
            };
            place.insert(format!("x-kubernetes-{key}"), value);
        }
    }
    for (name, special) in [
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", json!({"type": "string"})),
        (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
    ] {
        if let (Some(Value::Object(definition)), Value::Object(special)) =
            (definitions.get_mut(name), special)
        {
            definition.retain(|key, _| key == "description");
            definition.extend(special);
        }
    }
}

/// Marks the fields that are left out where they are 0, false or empty.
fn omit_zeros(mut types: HashMap<String, Node>) -> HashMap<String, Node> {
    for line in ZERO.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let node = words.next().and_then(|name| types.get_mut(name));
        let Some(Node::Struct(node)) = node else { continue };
        for word in words {
            if let Some(field) = node.fields.get_mut(word) {
                field.omits_zero = true;
            }
        }
    }
    types
}

fn type_of(name: &str, definition: &Value) -> Node {
    let short = name.strip_prefix("io.k8s.apimachinery.pkg.").unwrap_or(name);
    match short {
        "api.resource.Quantity" => Node::Leaf(Leaf::Quantity),
        "util.intstr.IntOrString" => Node::Leaf(Leaf::IntOrString),
        "apis.meta.v1.Time" => Node::Leaf(Leaf::Time),
        "apis.meta.v1.MicroTime" => Node::Leaf(Leaf::MicroTime),
        "apis.meta.v1.FieldsV1" | "runtime.RawExtension" => Node::Any,
        _ => match definition.get("properties").and_then(Value::as_object) {
            Some(properties) => Node::Struct(Struct {
                name: name.to_owned(),
                fields: fields(definition, properties),
                atomic: definition["x-kubernetes-map-type"] == "atomic",
                open: definition["x-kubernetes-preserve-unknown-fields"] == true,
            }),
            None => node(definition),
        },
    }
}

fn fields(definition: &Value, properties: &Map<String, Value>) -> BTreeMap<String, Field> {
    let required = |field: &str| {
        let required = definition["required"].as_array();
        required.is_some_and(|required| required.iter().any(|name| name == field))
    };
    let fields = properties.iter().map(|(name, property)| {
        let strategy = property["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
        let field = Field {
            node: node(property),
            required: required(name),
            atomic: property["x-kubernetes-map-type"] == "atomic",
            omits_zero: false,
            replaced: strategy == "replace",
        };
        (name.clone(), field)
    });
    fields.collect()
}

fn node(schema: &Value) -> Node {
    let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
    if let Some(reference) = reference.and_then(Value::as_str) {
        return Node::Named(reference.trim_start_matches(REFERENCE).to_owned());
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            let kind = match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => ListKind::Keyed(keys.map(key).collect()),
                Some("set") => ListKind::Set,
                _ => ListKind::Atomic,
            };
            let strategy = schema["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
            let merge = match schema["x-kubernetes-patch-merge-key"].as_str() {
                _ if !strategy.split(',').any(|word| word == "merge") => Merge::Replace,
                Some(key) => Merge::Keyed(key.to_owned()),
                None => Merge::Set,
            };
            Node::List { item: Box::new(node(&schema["items"])), kind, merge }
        }
        (Some("object"), _) => match &schema["additionalProperties"] {
            Value::Object(_) => Node::Map {
                item: Box::new(node(&schema["additionalProperties"])),
                atomic: schema["x-kubernetes-map-type"] == "atomic",
            },
            _ => Node::Any,
        },
        (Some("string"), Some("byte")) => Node::Leaf(Leaf::Bytes),
        (Some("string"), _) => Node::Leaf(Leaf::String),
        (Some("integer"), Some("int32")) => Node::Leaf(Leaf::Int32),
        (Some("integer"), _) => Node::Leaf(Leaf::Int64),
        (Some("number"), _) => Node::Leaf(Leaf::Number),
        (Some("boolean"), _) => Node::Leaf(Leaf::Boolean),
        _ => Node::Any,
    }
}

/// The protocol of a port is the one key that has a default.
fn key(name: &str) -> Key {
    Key { name: name.to_owned(), default: (name == "protocol").then(|| "TCP".into()) }
}
