//! What is wrong with the metadata of any object.

use serde_json::Value;

use super::{
    super::{
        delete::{FOREGROUND, ORPHAN},
        failure::Cause,
        names,
        object::Object,
        resource::Resource,
    },
    Names,
};

/// How many bytes annotations may have altogether.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// What is wrong with an object's metadata.
pub fn validate(object: &Value, resource: &Resource) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = resource.rules.names;
    let prefix = object.text("/metadata/generateName");
    if !prefix.is_empty() {
        for error in name_errors(kind, prefix.trim_end_matches('-')) {
            causes.push(Cause::invalid("metadata.generateName", &prefix.into(), &error));
        }
    }
    for error in name_errors(kind, object.name()) {
        causes.push(Cause::invalid("metadata.name", &object.name().into(), &error));
    }
    for (key, value) in object.labels() {
        for error in names::label_key_errors(&key) {
            causes.push(Cause::invalid("metadata.labels", &key.as_str().into(), &error));
        }
        for error in names::label_value_errors(&value) {
            causes.push(Cause::invalid("metadata.labels", &value.as_str().into(), &error));
        }
    }
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    for key in annotations.into_iter().flatten().map(|(key, _)| key) {
        for error in names::label_key_errors(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &error));
        }
    }
    let size: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MOST_ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", MOST_ANNOTATIONS));
    }
    owners(object.owners(), &mut causes);
    let finalizers = object.finalizers();
    for finalizer in &finalizers {
        for error in names::label_key_errors(finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &finalizer.as_str().into(), &error));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(ORPHAN) && has(FOREGROUND) {
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        causes.push(Cause::invalid("metadata.finalizers", &finalizers.into(), &detail));
    }
    causes
}

fn name_errors(kind: Names, name: &str) -> Vec<String> {
    match kind {
        Names::Subdomain => names::subdomain_error(name).into_iter().collect(),
        Names::Label => names::label_errors(name),
        Names::Segment => (name.contains('/') || name.contains('%') || name == "." || name == "..")
            .then(|| "may not contain '/' or '%'".to_owned())
            .into_iter()
            .collect(),
    }
}

fn owners(owners: &[Value], causes: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.ownerReferences";
    let mut first: Option<String> = None;
    for owner in owners {
        let version = owner.text("/apiVersion");
        // A version of more parts than two is none.
        let is_version = !version.is_empty() && version.matches('/').count() < 2;
        let stated = |field: &str| !owner.text(&format!("/{field}")).is_empty();
        for (field, is_fine, detail) in [
            ("apiVersion", is_version, "version must not be empty"),
            ("kind", stated("kind"), "must not be empty"),
            ("name", stated("name"), "must not be empty"),
            ("uid", stated("uid"), "must not be empty"),
        ] {
            if !is_fine {
                let value = owner.text(&format!("/{field}")).into();
                causes.push(Cause::invalid(format!("{FIELD}.{field}"), &value, detail));
            }
        }
        if owner.text("/kind") == "Event" && version == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid(FIELD, owner, detail));
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", owner.text("/kind"), owner.text("/name"));
            if let Some(first) = &first {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in \
                     references for {first} and {name}"
                );
                causes.push(Cause::invalid(FIELD, &owners.into(), &detail));
            } else {
                first = Some(name);
            }
        }
    }
}
