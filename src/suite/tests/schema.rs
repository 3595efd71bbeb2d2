//! The JSON Schema, held against suites that the reader knows.

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::suite::schema;

/// The suites of a file as an editor sees them.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
}

fn complaints(suite: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(&schema()).expect("the schema is one");
    validator
        .iter_errors(suite)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_good_suite_fits_the_schema() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut seen = 0;
    for folder in ["suites", "tests/suites"] {
        for entry in std::fs::read_dir(format!("{root}/{folder}")).expect("a folder").flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "yaml")
                || path.ends_with("wrong.yaml")
            {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a suite");
            for suite in documents(&text) {
                assert_eq!(complaints(&suite), [""; 0], "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen} suites");
    for suite in documents(super::steps::WHOLE) {
        assert_eq!(complaints(&suite), [""; 0], "every kind of change");
    }
}

#[test]
fn what_the_reader_refuses_by_its_form_the_schema_refuses_too() {
    let good = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
peers: {web: {pod: {namespace: lab}}, out: {ip: 192.0.2.1}}
cases: [{name: a, from: web, to: out, port: 80, expect: deny}]
";
    assert_eq!(complaints(&documents(good)[0]), [""; 0]);
    for (what, from, to) in [
        ("another version", "v1alpha1", "v1alpha2"),
        ("another kind", "kind: Suite", "kind: Suit"),
        ("no name", "{name: t}", "{}"),
        ("a name that is none", "{name: t}", "{name: T_}"),
        ("no peers", "peers: {web: {pod: {namespace: lab}}, out: {ip: 192.0.2.1}}\n", ""),
        ("a peer of two kinds", "{ip: 192.0.2.1}", "{ip: 192.0.2.1, host: a}"),
        ("a peer of no kind", "{ip: 192.0.2.1}", "{}"),
        ("a misspelt field", "expect: deny", "expects: deny"),
        ("a field too many", "expect: deny", "expect: deny, pass: true"),
        ("another claim", "expect: deny", "expect: closed"),
        ("no port", "port: 80, ", ""),
        ("a port that is none", "port: 80", "port: 70000"),
        ("a time without a unit", "expect: deny", "expect: deny, within: 5"),
        ("a misspelt change", "cases:", "steps: [{name: s, aply: []}]\ncases:"),
        ("a wait without a unit", "cases:", "steps: [{name: s, wait: 5}]\ncases:"),
        ("another family", "expect: deny", "expect: deny, family: ipv5"),
        ("a manifest of nothing", "cases:", "setup: {manifests: [{}]}\ncases:"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{what}");
        let (_, mistakes) = parse("t.yaml", &text, &nothing_beside);
        assert!(!mistakes.is_empty(), "the reader: {what}");
        assert_ne!(complaints(&documents(&text)[0]), [""; 0], "the schema: {what}");
    }
}

#[test]
fn every_field_of_the_schema_is_described() {
    fn walk(value: &Value, path: &str, bare: &mut Vec<String>) {
        let Some(fields) = value.as_object() else {
            for item in value.as_array().into_iter().flatten() {
                walk(item, path, bare);
            }
            return;
        };
        for (name, field) in
            fields.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if field.get("description").is_none() {
                bare.push(format!("{path}.{name}"));
            }
        }
        for (key, inner) in fields {
            walk(inner, &format!("{path}.{key}"), bare);
        }
    }
    let mut bare = Vec::new();
    walk(&schema(), "", &mut bare);
    // The variants of a tagged choice carry theirs beside the field.
    bare.retain(|path| !path.contains(".oneOf"));
    assert_eq!(bare, [""; 0]);
}

#[test]
fn the_shipped_schema_is_this_one_and_every_shipped_suite_names_it() {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/suites/suite.schema.json");
    let now = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &now).expect("write the schema");
    }
    let shipped = std::fs::read_to_string(&path).expect("suites/suite.schema.json");
    assert!(shipped == now, "run the tests with UPDATE_SCHEMA=1, and look at the difference");
    let mut folders = vec![std::path::PathBuf::from(format!("{root}/suites"))];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a text");
            if !text.contains("\nkind: Suite\n") {
                continue;
            }
            let first = text.lines().next().unwrap_or_default();
            let named = first.strip_prefix("# yaml-language-server: $schema=");
            let named = named.map(|named| folder.join(named).canonicalize());
            let found = named.is_some_and(|found| {
                found.is_ok_and(|found| found.ends_with("suites/suite.schema.json"))
            });
            assert!(found, "{}: {first}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} suites");
}
