use serde_json::{Value, json};

use super::*;

fn definition(schema: Value) -> Value {
    let mut definition = json!({
        "metadata": {"name": "tabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "tabs", "kind": "Tab", "shortNames": ["tb"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    });
    default(&mut definition);
    prepare(&mut definition);
    definition
}

fn row(schema: Value) -> &'static Resource {
    let definition = definition(schema);
    assert_eq!(validate_definition(&definition, None), [], "the definition");
    rows(&definition)[0]
}

fn tabs() -> Value {
    json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
            "port": {"x-kubernetes-int-or-string": true},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {
                "type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["key"],
                "items": {"type": "object", "required": ["key"], "properties": {
                    "key": {"type": "string"}, "on": {"type": "boolean", "default": true},
                }},
            },
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }})
}

#[test]
fn instances_are_pruned_and_filled() {
    let row = row(tabs());
    let given = json!({
        "apiVersion": "example.com/v1", "kind": "Tab", "metadata": {"name": "a"},
        "spec": {"size": 2, "odd": 1, "free": {"x": {"y": 1}}, "list": [{"key": "k", "odd": 2}]},
        "odd": true,
    });
    let (mut object, unknown) = row.canonical(given).expect("an object");
    assert_eq!(unknown, ["odd", "spec.list[0].odd", "spec.odd"]);
    row.definition().expect("custom").fill(&mut object);
    assert_eq!(
        object["spec"],
        json!({
            "size": 2, "color": "red", "free": {"x": {"y": 1}}, "list": [{"key": "k", "on": true}],
        })
    );
}

#[test]
fn instances_that_do_not_fit_are_told_why() {
    let row = row(tabs());
    for (spec, field, message) in [
        (json!({}), "spec.size", "Required value"),
        (
            json!({"size": "x"}),
            "spec.size",
            "Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            json!({"size": 0}),
            "spec.size",
            "Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            json!({"size": 10}),
            "spec.size",
            "Invalid value: 10: spec.size in body should be less than or equal to 9",
        ),
        (
            json!({"size": 1, "color": "green"}),
            "spec.color",
            "Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (
            json!({"size": 1, "name": "A"}),
            "spec.name",
            "Invalid value: \"A\": spec.name in body should match '^[a-z]+$'",
        ),
        (
            json!({"size": 1, "name": "abcde"}),
            "spec.name",
            "Too long: may not be more than 4 bytes",
        ),
        (
            json!({"size": 1, "port": true}),
            "spec.port",
            "Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"size": 1, "labels": {"a": 1}}),
            "spec.labels.a",
            "Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"size": 1, "list": [{"key": "a"}, {"key": "a"}]}),
            "spec.list[1]",
            "Duplicate value: {\"key\":\"a\"}",
        ),
    ] {
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        let causes = row.definition().expect("custom").causes(&object);
        assert_eq!(causes.len(), 1, "{object}: {causes:?}");
        assert_eq!((causes[0].field.as_str(), causes[0].message.as_str()), (field, message));
    }
    let fitting = json!({"spec": {"size": 9, "port": "http", "name": "ab", "color": "blue"}});
    assert_eq!(row.definition().expect("custom").causes(&fitting), []);
}

#[test]
fn definitions_that_make_no_kind_are_refused() {
    let change = |pointer: &str, value: Value| {
        let mut definition = definition(tabs());
        *definition.pointer_mut(pointer).expect("a place") = value;
        validate_definition(&definition, None)
    };
    for (pointer, value, field) in [
        ("/metadata/name", json!("other.example.com"), "metadata.name"),
        ("/spec/scope", json!("World"), "spec.scope"),
        ("/spec/versions/0/storage", json!(false), "spec.versions"),
        ("/spec/versions/0/name", json!("1"), "spec.versions[0].name"),
        ("/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema"),
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/type",
            json!(null),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].type",
        ),
    ] {
        let causes = change(pointer, value.clone());
        assert!(causes.iter().any(|cause| cause.field == field), "{pointer}={value}: {causes:?}");
    }
}

#[test]
fn paths_lead_where_kubectl_leads() {
    let object = json!({
        "spec": {"a": 1, "b.c": "x", "list": [{"n": "one"}, {"n": "two"}]},
        "status": {"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"},
        ]},
    });
    for (path, expected) in [
        (".spec.a", vec![json!(1)]),
        (".spec['b.c']", vec![json!("x")]),
        (".spec.b\\.c", vec![json!("x")]),
        (".spec.list[1].n", vec![json!("two")]),
        (".spec.list[-1].n", vec![json!("two")]),
        (".spec.list[*].n", vec![json!("one"), json!("two")]),
        (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
        (".status.conditions[?(@.type=='Other')].status", vec![json!("False")]),
        (".spec.missing", vec![]),
        (".spec.list[", vec![]),
    ] {
        let path_read = JsonPath::parse(path);
        let found: Vec<_> = path_read.find(&object).into_iter().cloned().collect();
        assert_eq!(found, expected, "{path}");
    }
}
