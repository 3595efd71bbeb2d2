//! Creating and updating objects: what every kind goes through, in order.
//!
//! ```text
//! body ─ canonical ─ defaults ─ validation ─┐ one transaction: namespace, version,
//!                                           └ allocation, the write itself
//! ```

mod naming;
mod options;
mod upkeep;

use std::sync::Arc;

use serde_json::{Value, json};

pub use self::options::{Part, Place, WriteOptions};
use self::{
    naming::{name_new, place_in_namespace},
    upkeep::{
        check_identity, copy_field, is_other, keep_system_metadata, new_finalizers,
        short_finalizers,
    },
};
use super::{
    admission::{self, Attempt},
    custom,
    decode::decode,
    delete,
    failure::{Cause, Failure},
    names,
    object::{Object, now, object_mut},
    patch::{self, Author},
    resource::{CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Resource},
    rules::metadata,
    store::{Store, Writer},
};

/// An object as it was written, and what its writer should hear about it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object with its version.
    pub object: Arc<Value>,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
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
    let (mut object, warnings) = decode(resource, body, options)?;
    if options.author().is_some() {
        // Defaults are the creator's too.
        object = resource.store(object);
        fill_in(resource, &mut object);
        object.metadata_mut().remove("managedFields");
    }
    track(resource, None, &mut object, options, Part::Main);
    let mut written =
        store.write(|writer| create_in(writer, resource, namespace, object, options))?;
    written.warnings.splice(..0, warnings);
    Ok(written)
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
    options: &WriteOptions,
) -> Result<Written, Failure> {
    object = resource.store(object);
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
    metadata.insert("uid".into(), names::uid().into());
    metadata.insert("creationTimestamp".into(), now().into());
    metadata.remove("generation");
    if resource.generation {
        metadata.insert("generation".into(), 1.into());
    }
    if resource.status && resource.definition().is_some() {
        object_mut(&mut object).remove("status");
    } else if resource.status {
        object_mut(&mut object).insert("status".into(), json!({}));
    }
    let name = object.name().to_owned();
    if resource.namespaced {
        let Some(home) = writer.get(&NAMESPACES, "", namespace) else {
            return Err(Failure::not_found(&NAMESPACES, namespace));
        };
        if home.is_deleting() {
            return Err(Failure::terminating(resource, &name, namespace));
        }
    }
    fill_in(resource, &mut object);
    let user = options.user.as_ref();
    let attempt = Attempt { resource, namespace, before: None, user };
    let unnamed = generated.then(|| object.text("/metadata/generateName").to_owned());
    let told = |failure: Failure| match &unnamed {
        // It is judged before it has its name.
        Some(prefix) => failure.renamed(&name, prefix),
        None => failure,
    };
    if admission::change(writer, &mut object, &attempt).map_err(&told)? {
        fill_in(resource, &mut object);
    }
    (resource.rules.prepare)(&mut object);
    let causes = causes(resource, &object, None);
    if !causes.is_empty() {
        return Err(Failure::invalid(resource, &name, &causes));
    }
    let mut warnings = short_finalizers(resource, &object, None);
    warnings.extend(unchecked_rules(resource, &object, None));
    warnings.extend(admission::check(writer, &object, &attempt).map_err(told)?);
    if !generated && writer.get(resource, namespace, &name).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    (resource.rules.allocate)(writer, &mut object, None)?;
    let object = if options.dry_run { Arc::new(object) } else { writer.put(resource, object) };
    Ok(Written { object, warnings })
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
    let (after, mut warnings) = decode(resource, after, options)?;
    let mut after = resource.store(after);
    check_identity(&after, before, place, options.is_patch)?;
    match part {
        Part::Main if resource.status => {
            copy_field(before, &mut after, "status");
        }
        Part::Main => {}
        Part::Status => {
            let mut merged = before.clone();
            copy_field(&after, &mut merged, "status");
            if options.author().is_none()
                && let Some(managers) = after.pointer("/metadata/managedFields")
            {
                // An apply has settled them already.
                merged.metadata_mut().insert("managedFields".into(), managers.clone());
            }
            after = merged;
        }
    }
    keep_system_metadata(&mut after, before);
    fill_in(resource, &mut after);
    track(resource, Some(before), &mut after, options, part);
    if part == Part::Status
        && let Some(custom) = resource.definition()
    {
        let causes = custom.causes(&after);
        if !causes.is_empty() {
            return Err(Failure::invalid(resource, place.name, &causes));
        }
    }
    if part == Part::Main {
        let mut causes = causes(resource, &after, Some(before));
        causes.extend(new_finalizers(&after, before));
        if !causes.is_empty() {
            return Err(Failure::invalid(resource, place.name, &causes));
        }
        let (user, namespace) = (options.user.as_ref(), place.namespace);
        let attempt = Attempt { resource, namespace, before: Some(before), user };
        warnings.extend(short_finalizers(resource, &after, Some(before)));
        warnings.extend(unchecked_rules(resource, &after, Some(before)));
        warnings.extend(admission::check(writer, &after, &attempt)?);
        (resource.rules.allocate)(writer, &mut after, Some(before))?;
    }
    if resource.generation && is_other(resource, &after, before) {
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

/// Notes who has written what, where the writer has a name.
fn track(
    resource: &Resource,
    before: Option<&Value>,
    after: &mut Value,
    options: &WriteOptions,
    part: Part,
) {
    if let Some(name) = options.author() {
        let version = resource.api_version();
        let subresource = if part == Part::Status { "status" } else { options.subresource };
        let author = Author { name, api_version: &version, subresource };
        patch::track(resource.schema(), before, after, author);
    }
}

/// Fills in what an object leaves open, and states the version under which it is stored.
fn fill_in(resource: &Resource, object: &mut Value) {
    (resource.rules.default)(object);
    if let Some(custom) = resource.definition() {
        custom.fill(object);
        object_mut(object).insert("apiVersion".into(), resource.stored_version().into());
    }
}

/// What is wrong with an object.
fn causes(resource: &Resource, object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = metadata::validate(object, resource);
    causes.extend((resource.rules.validate)(object, before));
    if let Some(custom) = resource.definition() {
        causes.extend(custom.causes(object));
    }
    causes
}

/// What the writer of a definition should know of its rules, when they come or change.
fn unchecked_rules(resource: &Resource, object: &Value, before: Option<&Value>) -> Vec<String> {
    let is_new = before.is_none_or(|before| before["spec"] != object["spec"]);
    if resource == &CUSTOM_RESOURCE_DEFINITIONS && is_new {
        custom::unchecked(object)
    } else {
        Vec::new()
    }
}
