//! Creating and updating objects: what every kind goes through, in order.
//!
//! ```text
//! body ─ canonical ─ defaults ─ validation ─┐ one transaction: namespace, version,
//!                                           └ allocation, the write itself
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    access::User,
    admission::{self, Attempt},
    custom,
    decode::{FieldValidation, decode},
    delete,
    failure::{Cause, Failure},
    names,
    object::{Object, now, object_mut},
    patch::{self, Author},
    resource::{CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Resource},
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
    /// Who asks; `None` for the cluster's own parts.
    pub user: Option<User>,
    /// Who writes without saying so, by the user agent.
    pub agent: String,
    /// Which part is written: `status`, `scale`; empty for the object itself.
    pub subresource: &'static str,
    /// What the body states twice: `duplicate field "spec.replicas"`.
    pub duplicates: Vec<String>,
    /// The patch, if it is one that is laid over what is there.
    pub patch: Option<Value>,
    /// Whether it is a patch of any kind.
    pub is_patch: bool,
}

impl WriteOptions {
    /// Who is noted as the manager of what is written; nobody for the server's own writes.
    fn author(&self) -> Option<&str> {
        let names = [self.manager.as_str(), self.agent.as_str()];
        names.into_iter().find(|name| !name.is_empty())
    }
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

fn check_identity(
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
    let mut causes = names::validate_metadata(object, resource);
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

/// Warnings of new finalizers of a custom resource that don't say whose they are.
fn short_finalizers(resource: &Resource, object: &Value, before: Option<&Value>) -> Vec<String> {
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
fn is_other(resource: &Resource, after: &Value, before: &Value) -> bool {
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
