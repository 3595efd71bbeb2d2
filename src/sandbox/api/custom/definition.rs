//! CustomResourceDefinitions themselves: defaults, status, and what the server refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{
        conditions,
        failure::Cause,
        names,
        object::{Object, object_mut},
    },
    pattern,
};

pub(in super::super) fn selectable(_: &str) -> bool {
    false
}

/// Fills in the names that follow from the others, and how versions are converted.
pub(in super::super) fn default(definition: &mut Value) {
    let kind = definition.text("/spec/names/kind").to_owned();
    let spec = definition.section_mut("spec");
    let conversion = spec.entry("conversion").or_insert(Value::Null);
    if conversion.is_null() {
        *conversion = json!({"strategy": "None"});
    }
    let names = object_mut(spec.entry("names").or_insert(Value::Null));
    for (name, value) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        let place = names.entry(name).or_insert(Value::Null);
        if place.as_str().is_none_or(str::is_empty) && !kind.is_empty() {
            *place = value.into();
        }
    }
    accept(definition);
}

/// What the naming and establishing controllers would write, at once: nothing here takes
/// its time, and a client that waits for the conditions finds them.
fn accept(definition: &mut Value) {
    if definition.get("status").is_none() {
        return;
    }
    let names = definition["spec"]["names"].clone();
    let stored = definition.items("/spec/versions").iter();
    let stored = stored.clone().find(|version| version["storage"] == true);
    let stored = stored.map(|version| version["name"].clone());
    let status = definition.section_mut("status");
    status.insert("acceptedNames".into(), names);
    let versions = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let (Some(versions), Some(stored)) = (versions.as_array_mut(), stored)
        && !versions.contains(&stored)
    {
        versions.push(stored);
    }
    conditions::set(definition, "NamesAccepted", true, "NoConflicts", "no conflicts found");
    let message = "the initial names have been accepted";
    conditions::set(definition, "Established", true, "InitialNamesAccepted", message);
}

pub(in super::super) fn prepare(definition: &mut Value) {
    object_mut(definition).insert("status".into(), json!({}));
    accept(definition);
}

pub(in super::super) fn validate(definition: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let group = definition.text("/spec/group");
    let plural = definition.text("/spec/names/plural");
    let wanted = format!("{plural}.{group}");
    if definition.name() != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &definition.name().into(), detail));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if let Some(error) = names::subdomain_error(group) {
        causes.push(Cause::invalid("spec.group", &group.into(), &error));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        causes.push(Cause::invalid("spec.group", &group.into(), detail));
    }
    match definition.text("/spec/scope") {
        "Cluster" | "Namespaced" => {}
        "" => causes.push(Cause::required("spec.scope", "")),
        other => causes.push(Cause::not_supported(
            "spec.scope",
            &other.into(),
            &["Cluster", "Namespaced"],
        )),
    }
    check_names(definition, &mut causes);
    check_versions(definition, &mut causes);
    for (index, stored) in definition.items("/status/storedVersions").iter().enumerate() {
        let name = stored.as_str().unwrap_or_default();
        if before.is_some()
            && !definition.items("/spec/versions").iter().any(|known| known["name"] == *stored)
        {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains \
                 persisted in {name} and removes {name} from status.storedVersions"
            );
            causes.push(Cause::invalid(format!("status.storedVersions[{index}]"), stored, &detail));
        }
    }
    if let Some(before) = before {
        for field in ["group", "scope", "names/kind", "names/plural"] {
            let pointer = format!("/spec/{field}");
            let value = definition.pointer(&pointer).cloned().unwrap_or_default();
            if before.pointer(&pointer) != Some(&value) {
                let field = format!("spec.{}", field.replace('/', "."));
                causes.push(Cause::invalid(field, &value, "field is immutable"));
            }
        }
    }
    causes
}

fn check_names(definition: &Value, causes: &mut Vec<Cause>) {
    for name in ["plural", "singular", "kind", "listKind"] {
        let value = definition.text(&format!("/spec/names/{name}"));
        let field = format!("spec.names.{name}");
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if let Some(error) = dns1035_error(&value.to_lowercase()) {
            let detail = if name.to_lowercase().contains("kind") {
                format!("may have mixed case, but should otherwise match: {error}")
            } else {
                error
            };
            causes.push(Cause::invalid(field, &value.into(), &detail));
        }
    }
    let kind = definition.text("/spec/names/kind");
    if !kind.is_empty() && kind == definition.text("/spec/names/listKind") {
        let detail = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &kind.into(), detail));
    }
}

fn check_versions(definition: &Value, causes: &mut Vec<Cause>) {
    let versions = definition.items("/spec/versions");
    let stored = versions.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &definition["spec"]["versions"], detail));
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{index}]");
        let name = version.text("/name");
        if !seen.insert(name) {
            let detail = "must not contain duplicate version names";
            causes.push(Cause::invalid("spec.versions", &definition["spec"]["versions"], detail));
        }
        if let Some(error) = dns1035_error(name) {
            causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &error));
        }
        let place = format!("{field}.schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(place, "")),
            Some(schema) => {
                if schema["type"] != "object" {
                    let found = schema["type"].clone();
                    if found.is_null() {
                        let detail = "must not be empty at the root";
                        causes.push(Cause::required(format!("{place}.type"), detail));
                    } else {
                        let detail = "must be object at the root";
                        causes.push(Cause::invalid(format!("{place}.type"), &found, detail));
                    }
                }
                structural(schema, &place, true, causes);
            }
        }
        let scale = version.pointer("/subresources/scale");
        for (pointer, prefix) in
            [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")]
        {
            let Some(scale) = scale else { break };
            let field = format!("{field}.subresources.scale.{pointer}");
            let value = scale.text(&format!("/{pointer}"));
            if value.is_empty() {
                causes.push(Cause::required(field, ""));
            } else if !value.starts_with(prefix) {
                let detail =
                    format!("should be a json path under {}", prefix.trim_end_matches('.'));
                causes.push(Cause::invalid(field, &value.into(), &detail));
            }
        }
    }
}

fn dns1035_error(name: &str) -> Option<String> {
    let fits = names::label_error(name).is_none()
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    (!fits).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
         an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
         'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// What keeps a schema from being structural.
fn structural(schema: &Value, place: &str, root: bool, causes: &mut Vec<Cause>) {
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let either = schema["x-kubernetes-int-or-string"] == true;
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind.is_empty() && !open && !either && !root {
        let detail = "must not be empty for specified object fields";
        causes.push(Cause::required(format!("{place}.type"), detail));
    }
    if !["", "object", "array", "string", "integer", "number", "boolean"].contains(&kind) {
        let known = ["array", "boolean", "integer", "number", "object", "string"];
        causes.push(Cause::not_supported(format!("{place}.type"), &kind.into(), &known));
    }
    if schema["uniqueItems"] == true {
        let detail =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{place}.uniqueItems"), detail));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(error) = pattern::read(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        causes.push(Cause::invalid(format!("{place}.pattern"), &pattern.into(), &detail));
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
        let detail = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(format!("{place}.additionalProperties"), detail));
    }
    let list = schema.text("/x-kubernetes-list-type");
    if !list.is_empty() && kind != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        causes.push(Cause::invalid(format!("{place}.type"), &kind.into(), detail));
    }
    if list == "map" && schema.items("/x-kubernetes-list-map-keys").is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(format!("{place}.x-kubernetes-list-map-keys"), detail));
    }
    if kind == "array" {
        match schema.get("items") {
            Some(items) => structural(items, &format!("{place}.items"), false, causes),
            None => causes.push(Cause::required(format!("{place}.items"), "must be specified")),
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if root && name == "metadata" {
            continue;
        }
        structural(property, &format!("{place}.properties[{name}]"), false, causes);
    }
    if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()) {
        structural(more, &format!("{place}.additionalProperties"), false, causes);
    }
}
