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

#[test]
fn the_policies_of_the_cluster_are_checked_as_upstreams_definition_has_it() {
    let mut definition = cluster_network_policy();
    default(&mut definition);
    prepare(&mut definition);
    assert_eq!(validate_definition(&definition, None), [], "the definition");
    let row = rows(&definition)[0];
    let custom = row.definition().expect("custom");
    let subject = json!({"namespaces": {}});
    let with = |field: &str, value: Value| {
        let mut spec = json!({"tier": "Admin", "priority": 1, "subject": subject});
        spec[field] = value;
        spec
    };
    let to = |peer: Value, protocol: Value| {
        with("egress", json!([{"action": "Accept", "to": [peer], "protocols": [protocol]}]))
    };
    let tcp = json!({"tcp": {"destinationPort": {"number": 80}}});
    let everybody = json!({"namespaces": {}});
    let many = |count: usize, one: Value| Value::from(vec![one; count]);
    let deny = json!({"action": "Deny", "from": [everybody]});
    for (spec, expected) in [
        (with("priority", 1000.into()), None),
        (with("priority", 1001.into()), Some("should be less than or equal to 1000")),
        (with("priority", (-1).into()), Some("should be greater than or equal to 0")),
        (with("tier", "Middle".into()), Some("supported values: \"Admin\", \"Baseline\"")),
        (json!({"tier": "Admin", "priority": 1}), Some("spec.subject")),
        (with("subject", json!({})), Some("should have at least 1 properties")),
        (
            with("subject", json!({"namespaces": {}, "pods": {"podSelector": {}}})),
            Some("Too many: 2"),
        ),
        (with("subject", json!({"pods": {}})), Some("spec.subject.pods.podSelector")),
        (with("ingress", many(25, deny.clone())), None),
        (with("ingress", many(26, deny.clone())), Some("Too many: 26: must have at most 25 items")),
        (with("ingress", json!([{"action": "Allow", "from": [everybody]}])), Some("\"Pass\"")),
        (with("ingress", json!([{"action": "Deny", "from": []}])), Some("at least 1 items")),
        (with("ingress", json!([{"action": "Deny"}])), Some("spec.ingress[0].from")),
        (
            with(
                "ingress",
                json!([{"name": "x".repeat(101), "action": "Deny", "from": [everybody]}]),
            ),
            Some("Too long"),
        ),
        (to(everybody.clone(), tcp.clone()), None),
        (to(everybody.clone(), json!({"tcp": {}})), Some("at least 1 properties")),
        (
            to(everybody.clone(), json!({"tcp": {"destinationPort": {"number": 0}}})),
            Some("greater than or equal to 1"),
        ),
        (
            to(
                everybody.clone(),
                json!({"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}),
            ),
            Some("Invalid value: \"object\": Start port must be less than End port"),
        ),
        (to(everybody.clone(), json!({"destinationNamedPort": "web"})), None),
        (to(json!({"networks": ["10.0.0.1/8", "fd00::/8"]}), tcp.clone()), None),
        (
            to(json!({"networks": ["10.0.0.0"]}), tcp.clone()),
            Some("Invalid value: \"string\": Invalid CIDR format provided"),
        ),
        (to(json!({"networks": ["::ffff:10.0.0.0/104"]}), tcp.clone()), Some("Invalid CIDR")),
        (
            to(json!({"networks": ["10.0.0.0/8", "10.0.0.0/8"]}), tcp.clone()),
            Some("Duplicate value"),
        ),
        (
            to(json!({"networks": ["10.0.0.0/8"]}), json!({"destinationNamedPort": "web"})),
            Some(
                "Invalid value: \"object\": networks/nodes/domainNames peer cannot be set with namedPorts",
            ),
        ),
        (to(json!({"nodes": {}}), json!({"destinationNamedPort": "web"})), Some("namedPorts")),
        (to(json!({"domainNames": ["*.example.com"]}), tcp.clone()), None),
        (to(json!({"domainNames": ["*"]}), tcp), Some("should match")),
    ] {
        let object = json!({"metadata": {"name": "it"}, "spec": spec});
        let causes = custom.causes(&object);
        let said = causes.iter().map(|cause| format!("{} {}", cause.field, cause.message));
        let said: Vec<_> = said.collect();
        match expected {
            None => assert_eq!(said, Vec::<String>::new(), "{object}"),
            Some(text) => {
                assert!(said.iter().any(|one| one.contains(text)), "{object}: {said:?}");
            }
        }
    }
}
