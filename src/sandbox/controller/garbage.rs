//! Garbage collection by owner references.
//!
//! An object all of whose owners are gone is deleted, by uid, also where an owner never
//! existed. An owner that is deleted in the foreground waits for its dependents; one that
//! is deleted as `orphan` first lets them go. Each write says which object has to be looked
//! at; nothing else is.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{events::Recorder, queue::Queue};
use crate::sandbox::api::{
    delete::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation},
    object::Object,
    resource::{ALL, Resource},
    store::{Change, Event, Observer, Store, Writer},
    write::Place,
};

/// What has to be looked at, by uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Work {
    /// An object with owners: are they there?
    Dependent(String),
    /// An object that was there: what did it own?
    Gone(String),
    /// An object that waits for its dependents, or for their release.
    Owner(String),
}

struct Ears {
    queue: Queue<Work>,
}

impl Observer for Ears {
    fn observe(&self, event: &Event) {
        let object = &event.object;
        let uid = || object.uid().to_owned();
        let owners_of = |object: &Value, add: &mut dyn FnMut(Work)| {
            for owner in object.owners() {
                add(Work::Owner(owner.text("/uid").to_owned()));
            }
        };
        let mut add = |work| self.queue.add(work);
        match event.change {
            Change::Deleted => {
                add(Work::Gone(uid()));
                owners_of(object, &mut add);
            }
            Change::Added => {
                if !object.owners().is_empty() {
                    add(Work::Dependent(uid()));
                }
                if object.is_deleting() {
                    add(Work::Owner(uid()));
                }
            }
            Change::Modified => {
                let before = event.previous.as_deref().unwrap_or(&Value::Null);
                if before["metadata"]["ownerReferences"] != object["metadata"]["ownerReferences"] {
                    add(Work::Dependent(uid()));
                    owners_of(before, &mut add);
                }
                if object.is_deleting()
                    && (!before.is_deleting()
                        || before["metadata"]["finalizers"] != object["metadata"]["finalizers"])
                {
                    add(Work::Owner(uid()));
                }
            }
        }
    }
}

/// Collects garbage until cancelled.
pub async fn collect_garbage(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let events = events.of("garbage-collector-controller", "");
    let ears = Arc::new(Ears { queue: Queue::new() });
    store.observe(&ears, ALL);
    loop {
        let work = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            work = ears.queue.next() => work,
        };
        store.write(|writer| match &work {
            Work::Dependent(uid) => judge(writer, &ears.queue, &events, uid),
            Work::Gone(uid) => queue_dependents(writer, &ears.queue, uid),
            Work::Owner(uid) => release(writer, &ears.queue, uid),
        });
        tokio::task::yield_now().await;
    }
}

fn queue_dependents(writer: &Writer<'_>, queue: &Queue<Work>, uid: &str) {
    for (_, dependent) in writer.owned(uid, None) {
        queue.add(Work::Dependent(dependent.uid().to_owned()));
    }
}

fn has(object: &Value, finalizer: &str) -> bool {
    object.items("/metadata/finalizers").iter().any(|known| known == finalizer)
}

/// What an owner reference comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    There,
    /// It is there, and is deleted once its dependents are gone.
    Waiting,
    Absent,
    /// Nobody can say: its kind is not known, or it can't own the object.
    Unknown,
}

fn owner(writer: &Writer<'_>, object: &Value, reference: &Value) -> Owner {
    let version = reference.text("/apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let is_kind = |row: &Resource| row.group == group && row.kind == reference.text("/kind");
    if let Some((row, found)) = writer.by_uid(reference.text("/uid")) {
        let reachable = !row.namespaced || found.namespace() == object.namespace();
        let named = found.name() == reference.text("/name") && is_kind(row);
        if reachable && named {
            let waits = found.is_deleting() && has(&found, FOREGROUND);
            return if waits { Owner::Waiting } else { Owner::There };
        }
        // Of another namespace or by another name it is not found, as one that never was;
        // but what is in no namespace can't be owned by what is in one.
        return if row.namespaced && object.namespace().is_empty() {
            Owner::Unknown
        } else {
            Owner::Absent
        };
    }
    match writer.resources().into_iter().find(|row| is_kind(row)) {
        Some(row) if row.namespaced && object.namespace().is_empty() => Owner::Unknown,
        Some(_) => Owner::Absent,
        None => Owner::Unknown,
    }
}

/// Deletes a dependent whose owners are gone, or takes those owners off it.
fn judge(writer: &mut Writer<'_>, queue: &Queue<Work>, events: &Recorder, uid: &str) {
    let Some((resource, object)) = writer.by_uid(uid) else { return };
    if object.is_deleting() && !has(&object, FOREGROUND) {
        return;
    }
    let owners: Vec<_> = object
        .owners()
        .iter()
        .map(|reference| (reference.text("/uid").to_owned(), owner(writer, &object, reference)))
        .collect();
    if owners.is_empty() {
        return;
    }
    let is = |wanted: &[Owner]| owners.iter().any(|(_, owner)| wanted.contains(owner));
    if is(&[Owner::Unknown]) {
        if object.namespace().is_empty() {
            let text = "ownerRef to a namespaced object from a cluster-scoped one is never \
                        resolved";
            events.warning(&object, "OwnerRefInvalidNamespace", text);
        }
        return;
    }
    if is(&[Owner::There]) {
        if is(&[Owner::Absent, Owner::Waiting]) {
            let unwanted: Vec<_> = owners
                .iter()
                .filter(|(_, owner)| *owner != Owner::There)
                .map(|(uid, _)| uid.as_str())
                .collect();
            let mut object = Value::clone(&object);
            disown(&mut object, &unwanted);
            delete::put(writer, resource, object);
        }
        return;
    }
    if object.is_deleting() {
        return;
    }
    let has_dependents = !writer.owned(uid, None).is_empty();
    let propagation = if has(&object, ORPHAN) {
        Propagation::Orphan
    } else if has(&object, FOREGROUND) || (is(&[Owner::Waiting]) && has_dependents) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let options = DeleteOptions {
        propagation,
        uid: Some(object.uid().to_owned()),
        ..DeleteOptions::default()
    };
    let place = Place { resource, namespace: object.namespace(), name: object.name() };
    if delete::delete_in(writer, place, &options).is_err() {
        queue.retry(Work::Dependent(uid.to_owned()));
    }
}

fn disown(object: &mut Value, unwanted: &[&str]) {
    let mut owners = object.owners().to_vec();
    owners.retain(|owner| !unwanted.contains(&owner.text("/uid")));
    let metadata = object.metadata_mut();
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".into(), owners.into());
    }
}

/// Lets the dependents of an owner go or has them deleted, and takes the collector's
/// finalizer off the owner when that is done.
fn release(writer: &mut Writer<'_>, queue: &Queue<Work>, uid: &str) {
    let Some((resource, object)) = writer.by_uid(uid) else { return };
    if !object.is_deleting() {
        return;
    }
    if has(&object, ORPHAN) {
        for (kind, dependent) in writer.owned(uid, None) {
            let mut dependent = Value::clone(&dependent);
            disown(&mut dependent, &[uid]);
            delete::put(writer, kind, dependent);
        }
        take_off(writer, resource, &object, ORPHAN);
    } else if has(&object, FOREGROUND) {
        let dependents = writer.owned(uid, None);
        let blocks = |dependent: &Value| {
            dependent.owners().iter().any(|reference| {
                reference.text("/uid") == uid && reference["blockOwnerDeletion"] == true
            })
        };
        if dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            for (_, dependent) in dependents {
                queue.add(Work::Dependent(dependent.uid().to_owned()));
            }
        } else {
            take_off(writer, resource, &object, FOREGROUND);
        }
    }
}

fn take_off(writer: &mut Writer<'_>, resource: &'static Resource, object: &Value, finalizer: &str) {
    let mut object = object.clone();
    delete::set_finalizers(&mut object, |known| known.retain(|one| one != finalizer));
    delete::put(writer, resource, object);
}
