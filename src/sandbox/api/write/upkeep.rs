//! What an update may not touch, and what it may touch only so far.

use serde_json::Value;

use super::{
    super::{
        delete,
        failure::{Cause, Failure},
        object::{Object, object_mut},
        resource::Resource,
    },
    Place,
};

pub(super) fn check_identity(
    after: &Value,
    before: &Value,
    place: Place<'_>,
    is_patch: bool,
) -> Result<(), Failure> {
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
    if !after.uid().is_empty() && after.uid() != before.uid() && is_patch {
        let cause = Cause::invalid("metadata.uid", &after.uid().into(), "field is immutable");
        return Err(Failure::invalid(place.resource, place.name, &[cause]));
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
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let text = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
        return Err(Failure::unexplained(text));
    }
    if !version.is_empty() && version != before.text("/metadata/resourceVersion") {
        return Err(Failure::modified(place.resource, place.name));
    }
    Ok(())
}

/// Warnings of new finalizers of a custom resource that don't say whose they are.
pub(super) fn short_finalizers(
    resource: &Resource,
    object: &Value,
    before: Option<&Value>,
) -> Vec<String> {
    let known = before.map(Object::finalizers).unwrap_or_default();
    let own = |name: &String| {
        [delete::FOREGROUND, delete::ORPHAN].contains(&name.as_str())
            || name.contains('/')
            || known.contains(name)
    };
    if resource.definition().is_none() {
        return Vec::new();
    }
    let new = object.finalizers().into_iter().filter(|name| !own(name));
    new.map(|name| {
        format!(
            "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid \
             accidental conflicts with other finalizer writers"
        )
    })
    .collect()
}

/// Whether something else is wanted than before: what `metadata.generation` counts.
pub(super) fn is_other(resource: &Resource, after: &Value, before: &Value) -> bool {
    if resource.definition().is_none() {
        return after.get("spec") != before.get("spec");
    }
    let wanted = |object: &Value| {
        let mut object = object.clone();
        let map = object_mut(&mut object);
        map.remove("metadata");
        if resource.status {
            map.remove("status");
        }
        object
    };
    wanted(after) != wanted(before)
}

/// Metadata that only the server writes stays as it was.
pub(super) fn keep_system_metadata(after: &mut Value, before: &Value) {
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

pub(super) fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => object_mut(to).insert(field.into(), value.clone()),
        None => object_mut(to).remove(field),
    };
}

pub(super) fn new_finalizers(after: &Value, before: &Value) -> Option<Cause> {
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
