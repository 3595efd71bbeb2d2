//! Deleting: at once, gracefully, or when the finalizers are through.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    conditions,
    custom::CLEANUP,
    failure::Failure,
    object::{Object, now},
    resource::{CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PODS, Resource},
    store::{Store, Writer},
    write::Place,
};
use crate::sandbox::clock;

/// The finalizer of an object that waits for its dependents' end.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are to be let go first.
pub const ORPHAN: &str = "orphan";
/// Namespaces that can't be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// What becomes of the dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected after the owner is gone.
    #[default]
    Background,
    /// They go first.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds for a pod to end by itself; `None` is the pod's own wish.
    pub grace: Option<i64>,
    /// What becomes of the dependents.
    pub propagation: Propagation,
    /// Only this very object.
    pub uid: Option<String>,
    /// Only in this state.
    pub resource_version: Option<String>,
    /// Do everything but the deletion.
    pub dry_run: bool,
}

/// What came of a deletion.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Value>),
    /// The object is marked and will go.
    Going(Arc<Value>),
}

impl Deleted {
    /// The object, whatever came of it.
    pub fn into_object(self) -> Arc<Value> {
        match self {
            Self::Gone(object) | Self::Going(object) => object,
        }
    }
}

/// Deletes an object.
///
/// # Errors
/// 404, 409 where a precondition doesn't hold, 403 for namespaces that must stay.
pub fn delete(
    store: &Store,
    place: Place<'_>,
    options: &DeleteOptions,
) -> Result<Deleted, Failure> {
    store.write(|writer| delete_in(writer, place, options))
}

/// Deletes an object in a transaction.
///
/// # Errors
/// As [`delete`].
pub fn delete_in(
    writer: &mut Writer<'_>,
    place: Place<'_>,
    options: &DeleteOptions,
) -> Result<Deleted, Failure> {
    let Place { resource, namespace, name } = place;
    let Some(before) = writer.get(resource, namespace, name) else {
        return Err(Failure::not_found(resource, name));
    };
    check_preconditions(&before, place, options)?;
    if resource == &NAMESPACES && IMMORTAL.contains(&name) {
        return Err(Failure::forbidden(resource, name, "this namespace may not be deleted"));
    }
    let mut object = Value::clone(&before);
    let added = match options.propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    if let Some(finalizer) = added
        && !before.is_deleting()
    {
        set_finalizers(&mut object, |finalizers| {
            if !finalizers.iter().any(|known| known == finalizer) {
                finalizers.push(finalizer.to_owned());
            }
        });
    }
    if resource == &CUSTOM_RESOURCE_DEFINITIONS && !before.is_deleting() {
        set_finalizers(&mut object, |finalizers| {
            if !finalizers.iter().any(|known| known == CLEANUP) {
                finalizers.push(CLEANUP.to_owned());
            }
        });
        let message =
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        conditions::set(&mut object, "Terminating", true, "InstanceDeletionPending", message);
    }
    let grace = if resource == &PODS { pod_grace(&before, options) } else { 0 };
    mark(&mut object, grace, resource);
    if options.dry_run {
        return Ok(Deleted::Going(Arc::new(object)));
    }
    if is_finished(resource, &object) {
        let last = writer.remove(resource, namespace, name);
        return Ok(Deleted::Gone(last.unwrap_or(before)));
    }
    Ok(Deleted::Going(writer.put(resource, object)))
}

fn check_preconditions(
    before: &Value,
    place: Place<'_>,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    let found = before.text("/metadata/resourceVersion");
    for (called, wanted, found) in
        [("UID", &options.uid, before.uid()), ("ResourceVersion", &options.resource_version, found)]
    {
        if let Some(wanted) = wanted
            && wanted != found
        {
            let meaning = if called == "UID" {
                "The object might have been deleted and then recreated"
            } else {
                "The object might have been modified"
            };
            let detail = format!(
                "the {called} in the precondition ({wanted}) does not match the {called} in \
                 record ({found}). {meaning}"
            );
            return Err(Failure::conflict_of_kind(place.resource, place.name, &detail));
        }
    }
    Ok(())
}

/// How long a pod may take. One that runs nowhere needs no time; a second request can
/// only shorten the first.
fn pod_grace(pod: &Value, options: &DeleteOptions) -> i64 {
    let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
    if pod.text("/spec/nodeName").is_empty() || ended {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    // Far enough for any test, and near enough for any clock.
    let grace = options.grace.or(own).unwrap_or(30).clamp(0, 1_000_000_000);
    let running = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    running.map_or(grace, |running| grace.min(running))
}

fn mark(object: &mut Value, grace: i64, resource: &Resource) {
    let deleting = object.is_deleting();
    let before = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    if deleting && before == Some(grace) {
        return;
    }
    let end = clock::now() + jiff::SignedDuration::from_secs(grace);
    let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_u64);
    let metadata = object.metadata_mut();
    let end = if deleting && resource != &PODS { now() } else { end };
    metadata.insert("deletionTimestamp".into(), end.into());
    // Namespaces and definitions have ways of their own to end.
    if resource != &NAMESPACES && resource != &CUSTOM_RESOURCE_DEFINITIONS {
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    }
    if let Some(generation) = generation.filter(|_| resource != &CUSTOM_RESOURCE_DEFINITIONS) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
    if resource == &NAMESPACES {
        object.section_mut("status").insert("phase".into(), json!("Terminating"));
    }
}

/// Whether nothing holds an object back that is being deleted.
pub fn is_finished(resource: &Resource, object: &Value) -> bool {
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    let emptied = resource != &NAMESPACES || object.items("/spec/finalizers").is_empty();
    object.is_deleting() && object.finalizers().is_empty() && grace.unwrap_or(0) == 0 && emptied
}

/// Puts an object in its place, or takes it away if nothing holds it back any more.
pub fn put(writer: &mut Writer<'_>, resource: &'static Resource, object: Value) -> Arc<Value> {
    let object = writer.put(resource, object);
    if is_finished(resource, &object) {
        writer.remove(resource, object.namespace(), object.name());
    }
    object
}

/// Changes the list of finalizers; an empty one vanishes.
pub fn set_finalizers(object: &mut Value, change: impl FnOnce(&mut Vec<String>)) {
    let mut finalizers = object.finalizers();
    change(&mut finalizers);
    let metadata = object.metadata_mut();
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}
