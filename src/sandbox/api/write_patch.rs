//! Patches as writes: read, patch and write in one transaction, create where apply may.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    body,
    decode::{FieldValidation, decode},
    failure::{Cause, Failure},
    object::Object,
    patch::{self, Author, PatchKind},
    resource::Resource,
    store::{Store, Writer},
    write::{self, Part, Place, WriteOptions, Written},
};

/// Patches an object; an apply creates one that isn't there.
///
/// # Errors
/// Whatever the API server would refuse the patch or its result for.
pub fn patch(
    store: &Store,
    place: Place<'_>,
    part: Part,
    options: &WriteOptions,
    kind: PatchKind,
    body: Value,
    force: bool,
) -> Result<(StatusCode, Written), Failure> {
    if kind == PatchKind::Apply {
        return store.write(|writer| apply(writer, place, part, options, body, force));
    }
    let resource = place.resource;
    let written = write::update(store, place, part, options, |before| {
        patch::patched(kind, resource.schema(), &resource.present(before), body)
    })?;
    Ok((StatusCode::OK, written))
}

fn apply(
    writer: &mut Writer<'_>,
    place: Place<'_>,
    part: Part,
    options: &WriteOptions,
    mut body: Value,
    force: bool,
) -> Result<(StatusCode, Written), Failure> {
    let Place { resource, namespace, name } = place;
    if options.manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid_options("PatchOptions", &[cause]));
    }
    if let Some(found) = body::no_map(&body) {
        return Err(Failure::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot \
             unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    }
    let (stated, expected) = (body.text("/apiVersion"), resource.api_version());
    let kind = body.text("/kind");
    let is_other = resource.definition().is_some() && (stated != expected || kind != resource.kind);
    if is_other {
        let version = if stated.is_empty() { "/" } else { stated };
        return Err(Failure::bad_request(format!("invalid object type: {version}, Kind={kind}")));
    }
    if !body.items("/metadata/managedFields").is_empty() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let stated_place = (body.namespace().to_owned(), body.name().to_owned());
    if stated != expected {
        return Err(Failure::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {stated}, \
             expected: {expected}"
        )));
    }
    if body.name().is_empty() {
        body.metadata_mut().insert("name".into(), name.into());
    }
    if resource.namespaced && body.namespace().is_empty() {
        body.metadata_mut().insert("namespace".into(), namespace.into());
    }
    // Read once by its type, so that ownership is of fields that exist.
    let given = body.clone();
    let lenient = WriteOptions { validation: FieldValidation::Warn, ..options.clone() };
    let (mut wanted, warnings) = decode(resource, body, &lenient)?;
    let unknown: Vec<_> = warnings
        .iter()
        .filter_map(|text| text.strip_prefix("unknown field \"")?.strip_suffix('"'))
        .map(|path| format!(".{path}: field not declared in schema"))
        .collect();
    if !unknown.is_empty() {
        return Err(untyped(resource, &stated_place, &unknown));
    }
    if options.validation == FieldValidation::Strict
        && let Some(first) = warnings.first()
    {
        return Err(Failure::bad_request(format!("error strict decoding YAML: {first}")));
    }
    let wrong = patch::misfits(resource.schema(), &given);
    if !wrong.is_empty() {
        return Err(untyped(resource, &stated_place, &wrong));
    }
    keep_given(&mut wanted, &given);
    let before = writer.get(resource, namespace, name);
    let version = resource.api_version();
    let shown = before.as_deref().map(|before| resource.present(before));
    let author =
        Author { name: &options.manager, api_version: &version, subresource: options.subresource };
    let after = patch::apply(resource.schema(), shown.as_deref(), &wanted, author, force)
        .map_err(|conflict| refusal(resource, name, &conflict))?;
    let (after, _) =
        resource.canonical(after).map_err(|error| Failure::bad_request(error.to_string()))?;
    // Who manages what is settled; the write itself leaves no trace of its own.
    let options = &WriteOptions { manager: String::new(), agent: String::new(), ..options.clone() };
    match before {
        Some(before) => {
            let mut written = write::update_in(writer, place, part, options, &before, after)?;
            written.warnings.splice(..0, warnings);
            Ok((StatusCode::OK, written))
        }
        None if part == Part::Main && !wanted.uid().is_empty() => {
            let detail = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was \
                 found",
                wanted.uid()
            );
            Err(Failure::conflict(resource, name, &detail))
        }
        None if part == Part::Main => {
            let mut written = write::create_in(writer, resource, namespace, after, options)?;
            written.warnings.splice(..0, warnings);
            let code = if options.dry_run { StatusCode::OK } else { StatusCode::CREATED };
            Ok((code, written))
        }
        None => Err(Failure::not_found(resource, name)),
    }
}

/// The refusal of fields that the kind doesn't have: without a type there is no owning them.
fn untyped(
    resource: &Resource,
    (namespace, name): &(String, String),
    unknown: &[String],
) -> Failure {
    let errors = match unknown {
        [one] => one.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    };
    let version = if resource.group.is_empty() {
        format!("/{}", resource.version)
    } else {
        resource.api_version()
    };
    Failure::unexplained(format!(
        "failed to create typed patch object ({namespace}/{name}; {version}, Kind={}): {errors}",
        resource.kind
    ))
}

/// The 409 for an apply that is in conflict.
fn refusal(resource: &Resource, name: &str, conflict: &patch::ApplyConflict) -> Failure {
    let fields = &conflict.fields;
    let text = match fields.as_slice() {
        [(manager, field)] => format!("1 conflict: conflict with {manager}: {field}"),
        fields => {
            let mut lines = Vec::new();
            let mut last = "";
            for (manager, field) in fields {
                if manager != last {
                    lines.push(format!("conflicts with {manager}:"));
                    last = manager;
                }
                lines.push(format!("- {field}"));
            }
            format!("{} conflicts: {}", fields.len(), lines.join("\n"))
        }
    };
    let mut failure = Failure::conflict(resource, name, "");
    failure.message = format!("Apply failed with {text}");
    failure.details = json!({
        "causes": fields
            .iter()
            .map(|(manager, field)| json!({
                "reason": "FieldManagerConflict", "field": field,
                "message": format!("conflict with {manager}"),
            }))
            .collect::<Vec<_>>(),
    });
    failure
}

/// Takes out what the canonical form has put in, and puts back what is stated as empty: a
/// manager owns what it states.
fn keep_given(wanted: &mut Value, given: &Value) {
    match (wanted, given) {
        (Value::Object(wanted), Value::Object(given)) => {
            wanted.retain(|key, _| given.contains_key(key));
            for (key, given) in given {
                match wanted.get_mut(key) {
                    Some(wanted) => keep_given(wanted, given),
                    None if is_hollow(given) => {
                        wanted.insert(key.clone(), given.clone());
                    }
                    None => {}
                }
            }
        }
        (Value::Array(wanted), Value::Array(given)) => {
            for (wanted, given) in wanted.iter_mut().zip(given) {
                keep_given(wanted, given);
            }
        }
        _ => {}
    }
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
