//! Patches as writes: read, patch and write in one transaction, create where apply may.

use http::StatusCode;
use serde_json::Value;

use super::{
    decode::decode,
    failure::{Cause, Failure},
    object::Object,
    patch::{self, PatchKind},
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
    let written = write::update(store, place, part, options, |before| {
        let mut after = patch::patched(kind, before, body)?;
        let applied = before.pointer("/metadata/managedFields").cloned();
        let metadata = after.metadata_mut();
        match applied {
            Some(applied) => metadata.insert("managedFields".into(), applied),
            None => metadata.remove("managedFields"),
        };
        Ok(after)
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
        let mut failure = Failure::invalid(resource, name, &[cause]);
        failure.message =
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required \
             for apply patch"
                .to_owned();
        return Err(failure);
    }
    if !body.is_object() {
        return Err(Failure::bad_request("error decoding patch: it must be an object"));
    }
    if body.name().is_empty() {
        body.metadata_mut().insert("name".into(), name.into());
    }
    if resource.namespaced && body.namespace().is_empty() {
        body.metadata_mut().insert("namespace".into(), namespace.into());
    }
    // Read once by its type, so that ownership is of fields that exist.
    let given = body.clone();
    let (mut wanted, warnings) = decode(resource, body, options.validation)?;
    keep_given(&mut wanted, &given);
    let before = writer.get(resource, namespace, name);
    let conflict = |conflict: patch::ApplyConflict| {
        let count = conflict.fields.len();
        let plural = if count == 1 { "conflict" } else { "conflicts" };
        let parts: Vec<_> = conflict
            .fields
            .iter()
            .map(|(manager, field)| format!("conflict with \"{manager}\": {field}"))
            .collect();
        let mut failure = Failure::conflict(resource, name, "");
        failure.message = format!("Apply failed with {count} {plural}: {}", parts.join(", "));
        failure.details["causes"] = conflict
            .fields
            .iter()
            .map(|(manager, field)| {
                serde_json::json!({
                    "reason": "FieldManagerConflict", "field": field,
                    "message": format!("conflict with \"{manager}\""),
                })
            })
            .collect();
        failure
    };
    let manager = &options.manager;
    let version = resource.api_version();
    let after =
        patch::apply(before.as_deref(), &wanted, manager, &version, force).map_err(conflict)?;
    match before {
        Some(before) => {
            let mut written = write::update_in(writer, place, part, options, &before, after)?;
            written.warnings.splice(..0, warnings);
            Ok((StatusCode::OK, written))
        }
        None if part == Part::Main => {
            let mut written = write::create_in(writer, resource, namespace, after, options)?;
            written.warnings.splice(..0, warnings);
            Ok((StatusCode::CREATED, written))
        }
        None => Err(Failure::not_found(resource, name)),
    }
}

/// Takes out what the canonical form has put in: a manager owns only what it states.
fn keep_given(wanted: &mut Value, given: &Value) {
    match (wanted, given) {
        (Value::Object(wanted), Value::Object(given)) => {
            wanted.retain(|key, _| given.contains_key(key));
            for (key, wanted) in wanted {
                if let Some(given) = given.get(key) {
                    keep_given(wanted, given);
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
