//! Creating and updating objects: what every kind goes through, in order.
//!
//! ```text
//! body ─ canonical ─ defaults ─ validation ─┐ one transaction: namespace, version,
//!                                           └ allocation, the write itself
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    delete,
    failure::{Cause, Failure},
    names,
    object::{Object, now, object_mut},
    resource::{NAMESPACES, Resource},
    store::{Store, Writer},
};

/// What a request says about its write, beside the object.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Do everything but the write.
    pub dry_run: bool,
    /// Who writes (`fieldManager`).
    pub manager: String,
    /// What happens to fields that the kind doesn't have.
    pub validation: FieldValidation,
}

/// What happens to fields that the kind doesn't have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the answer carries a warning for each.
    #[default]
    Warn,
    /// They are a 400.
    Strict,
}

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// Which part of the object an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but `status`, where the kind has that subresource.
    Main,
    /// `status` alone.
    Status,
}

/// An object as it was written, and what its writer should hear about it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object with its version.
    pub object: Arc<Value>,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Brings a body into the canonical form of its kind.
///
/// # Errors
/// 400 for another kind, fields of a wrong type, and, if strict, unknown fields.
pub fn decode(
    resource: &Resource,
    mut object: Value,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the object provided is unrecognized (must be a map)"));
    }
    let expected = resource.api_version();
    for (field, expected, called) in
        [("apiVersion", expected.as_str(), "API version"), ("kind", resource.kind, "kind")]
    {
        let found = object.text(&format!("/{field}")).to_owned();
        if found.is_empty() {
            object_mut(&mut object).insert(field.into(), expected.into());
        } else if found != expected {
            return Err(Failure::bad_request(format!(
                "the {called} in the data ({found}) does not match the expected {called} \
                 ({expected})"
            )));
        }
    }
    let given = object.clone();
    let canonical = resource.canonical(object).map_err(|error| {
        Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {error}",
            kind = resource.kind,
            version = resource.version,
        ))
    })?;
    let mut unknown = Vec::new();
    if validation != FieldValidation::Ignore {
        find_unknown(&given, &canonical, "", &mut unknown);
    }
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            resource.version,
            resource.kind,
            unknown.join(", ")
        )));
    }
    Ok((canonical, unknown))
}

/// Fields that were given and are not in the canonical form.
fn find_unknown(given: &Value, canonical: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, canonical) {
        (Value::Object(given), Value::Object(canonical)) => {
            for (key, value) in given {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match canonical.get(key) {
                    Some(known) => find_unknown(value, known, &path, unknown),
                    None if value.is_null() || is_empty(value) => {}
                    None => unknown.push(format!("unknown field \"{path}\"")),
                }
            }
        }
        (Value::Array(given), Value::Array(canonical)) => {
            for (index, (given, canonical)) in given.iter().zip(canonical).enumerate() {
                find_unknown(given, canonical, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Empty lists and maps may vanish in canonical form without being unknown.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Creates an object.
///
/// # Errors
/// Whatever the API server would refuse it for.
pub fn create(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    body: Value,
    options: &WriteOptions,
) -> Result<Written, Failure> {
    let (object, warnings) = decode(resource, body, options.validation)?;
    let object =
        store.write(|writer| create_in(writer, resource, namespace, object, options.dry_run))?;
    Ok(Written { object, warnings })
}

/// Creates a canonical object in a transaction.
///
/// # Errors
/// As [`create`].
pub fn create_in(
    writer: &mut Writer<'_>,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    if !object.text("/metadata/resourceVersion").is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Failure::bad_request(message));
    }
    place_in_namespace(&mut object, resource, namespace)?;
    let generated = name_new(writer, resource, &mut object)?;
    let metadata = object.metadata_mut();
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), uid().into());
    metadata.insert("creationTimestamp".into(), now().into());
    metadata.remove("generation");
    if resource.generation {
        metadata.insert("generation".into(), 1.into());
    }
    if resource.status {
        object_mut(&mut object).insert("status".into(), json!({}));
    }
    (resource.rules.default)(&mut object);
    (resource.rules.prepare)(&mut object);
    let name = object.name().to_owned();
    let mut causes = names::validate_metadata(&object, resource);
    causes.extend((resource.rules.validate)(&object, None));
    if !causes.is_empty() {
        return Err(Failure::invalid(resource, &name, &causes));
    }
    if resource.namespaced {
        let Some(home) = writer.get(&NAMESPACES, "", namespace) else {
            return Err(Failure::not_found(&NAMESPACES, namespace));
        };
        if home.is_deleting() {
            return Err(Failure::terminating(resource, &name, namespace));
        }
    }
    if !generated && writer.get(resource, namespace, &name).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    (resource.rules.allocate)(writer, &mut object, None)?;
    Ok(if dry_run { Arc::new(object) } else { writer.put(resource, object) })
}

fn place_in_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), Failure> {
    let stated = object.namespace();
    if resource.namespaced {
        if !stated.is_empty() && stated != namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        object.metadata_mut().insert("namespace".into(), namespace.into());
    } else {
        object.metadata_mut().remove("namespace");
    }
    Ok(())
}

/// Makes a name where only its beginning is given. Says whether it did.
fn name_new(
    writer: &Writer<'_>,
    resource: &'static Resource,
    object: &mut Value,
) -> Result<bool, Failure> {
    if !object.name().is_empty() {
        return Ok(false);
    }
    let prefix = object.text("/metadata/generateName").to_owned();
    if prefix.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(resource, "", &[cause]));
    }
    let namespace = object.namespace().to_owned();
    for _ in 0..8 {
        let name = names::generate(&prefix);
        if writer.get(resource, &namespace, &name).is_none() {
            object.metadata_mut().insert("name".into(), name.into());
            return Ok(true);
        }
    }
    Err(Failure::already_exists(resource, &prefix))
}

/// A random UUID of version 4.
pub fn uid() -> String {
    let bits: u128 = rand::random();
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// Changes an object by a function of its present state.
///
/// # Errors
/// The function's own, and whatever the API server would refuse the result for.
pub fn update(
    store: &Store,
    place: Place<'_>,
    part: Part,
    options: &WriteOptions,
    change: impl FnOnce(&Value) -> Result<Value, Failure>,
) -> Result<Written, Failure> {
    store.write(|writer| {
        let Some(before) = writer.get(place.resource, place.namespace, place.name) else {
            return Err(Failure::not_found(place.resource, place.name));
        };
        let after = change(&before)?;
        update_in(writer, place, part, options, &before, after)
    })
}

/// Changes an object in a transaction.
///
/// # Errors
/// As [`update`].
pub fn update_in(
    writer: &mut Writer<'_>,
    place: Place<'_>,
    part: Part,
    options: &WriteOptions,
    before: &Value,
    after: Value,
) -> Result<Written, Failure> {
    let resource = place.resource;
    let (mut after, warnings) = decode(resource, after, options.validation)?;
    check_identity(&after, before, place)?;
    match part {
        Part::Main if resource.status => {
            copy_field(before, &mut after, "status");
        }
        Part::Main => {}
        Part::Status => {
            let mut merged = before.clone();
            copy_field(&after, &mut merged, "status");
            after = merged;
        }
    }
    keep_system_metadata(&mut after, before);
    (resource.rules.default)(&mut after);
    if part == Part::Main {
        let mut causes = names::validate_metadata(&after, resource);
        causes.extend(new_finalizers(&after, before));
        causes.extend((resource.rules.validate)(&after, Some(before)));
        if !causes.is_empty() {
            return Err(Failure::invalid(resource, place.name, &causes));
        }
        (resource.rules.allocate)(writer, &mut after, Some(before))?;
    }
    if resource.generation && after.get("spec") != before.get("spec") {
        let generation = before.pointer("/metadata/generation").and_then(Value::as_u64);
        let next = generation.unwrap_or_default() + 1;
        after.metadata_mut().insert("generation".into(), next.into());
    }
    if options.dry_run {
        return Ok(Written { object: Arc::new(after), warnings });
    }
    let object = delete::put(writer, resource, after);
    Ok(Written { object, warnings })
}

fn check_identity(after: &Value, before: &Value, place: Place<'_>) -> Result<(), Failure> {
    if !after.name().is_empty() && after.name() != place.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            after.name(),
            place.name
        )));
    }
    if !after.namespace().is_empty() && after.namespace() != place.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !after.uid().is_empty() && after.uid() != before.uid() {
        let detail = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            after.uid(),
            before.uid()
        );
        return Err(Failure::conflict(place.resource, place.name, &detail));
    }
    let version = after.text("/metadata/resourceVersion");
    if !version.is_empty() && version != before.text("/metadata/resourceVersion") {
        return Err(Failure::modified(place.resource, place.name));
    }
    Ok(())
}

/// Metadata that only the server writes stays as it was.
fn keep_system_metadata(after: &mut Value, before: &Value) {
    let metadata = after.metadata_mut();
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "selfLink",
    ] {
        match before.pointer(&format!("/metadata/{field}")) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => object_mut(to).insert(field.into(), value.clone()),
        None => object_mut(to).remove(field),
    };
}

fn new_finalizers(after: &Value, before: &Value) -> Option<Cause> {
    let known = before.finalizers();
    let new: Vec<_> =
        after.finalizers().into_iter().filter(|finalizer| !known.contains(finalizer)).collect();
    (before.is_deleting() && !new.is_empty()).then(|| {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             {new:?}"
        );
        Cause::forbidden("metadata.finalizers", &detail)
    })
}
