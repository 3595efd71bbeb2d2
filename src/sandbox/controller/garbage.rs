//! Garbage collection by owner references.
//!
//! An object all of whose owners are gone is deleted, by uid, also where an owner never
//! existed. An owner that is deleted in the foreground waits for its dependents; one that
//! is deleted as `orphan` first lets them go.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::sandbox::api::{
    delete::{self, DeleteOptions, FOREGROUND, ORPHAN, Propagation},
    object::Object,
    resource::{ALL, Resource},
    store::{Change, Event, Store, Writer},
    write::Place,
};

/// Collects garbage until cancelled.
pub async fn collect_garbage(store: Arc<Store>, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        match event.change {
            Change::Deleted => true,
            Change::Added => !event.object.owners().is_empty(),
            Change::Modified => {
                event.object.is_deleting()
                    || event
                        .previous
                        .as_ref()
                        .is_some_and(|previous| previous.owners() != event.object.owners())
            }
        }
    }
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || store.write(pass)).await;
}

/// What stands where, at the beginning of a pass.
struct Graph {
    /// Namespace of each uid, and whether the object waits for its dependents.
    owners: HashMap<String, (String, bool)>,
    dependents: Vec<(&'static Resource, Arc<Value>)>,
    /// Objects with one of the collector's own finalizers that are to go.
    held: Vec<(&'static Resource, Arc<Value>)>,
}

fn graph(writer: &Writer<'_>) -> Graph {
    let mut graph = Graph { owners: HashMap::new(), dependents: Vec::new(), held: Vec::new() };
    for resource in ALL.iter().copied() {
        for object in writer.list(resource, None) {
            let finalizers = object.finalizers();
            let is = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
            let waits = object.is_deleting() && is(FOREGROUND);
            let place = (object.namespace().to_owned(), waits);
            graph.owners.insert(object.uid().to_owned(), place);
            if !object.owners().is_empty() {
                graph.dependents.push((resource, Arc::clone(&object)));
            }
            if object.is_deleting() && (is(FOREGROUND) || is(ORPHAN)) {
                graph.held.push((resource, object));
            }
        }
    }
    graph
}

fn pass(writer: &mut Writer<'_>) {
    let graph = graph(writer);
    let orphaning: HashSet<String> = graph
        .held
        .iter()
        .filter(|(_, owner)| owner.finalizers().iter().any(|finalizer| finalizer == ORPHAN))
        .map(|(_, owner)| owner.uid().to_owned())
        .collect();
    for (resource, object) in &graph.dependents {
        judge(writer, &graph, &orphaning, resource, object);
    }
    for (resource, owner) in &graph.held {
        release(writer, &graph, resource, owner);
    }
}

/// Deletes a dependent whose owners are gone, or takes those owners off it.
fn judge(
    writer: &mut Writer<'_>,
    graph: &Graph,
    orphaning: &HashSet<String>,
    resource: &'static Resource,
    object: &Value,
) {
    let mut solid = 0;
    let mut unwanted = Vec::new();
    let mut released = false;
    for owner in object.owners() {
        let uid = owner.text("/uid");
        match graph.owners.get(uid) {
            _ if orphaning.contains(uid) => {
                unwanted.push(uid);
                released = true;
            }
            // An owner in another namespace is none.
            Some((home, waits)) if home.is_empty() || home == object.namespace() => {
                if *waits {
                    unwanted.push(uid);
                } else {
                    solid += 1;
                }
            }
            _ => unwanted.push(uid),
        }
    }
    if unwanted.is_empty() || object.is_deleting() {
        return;
    }
    if solid > 0 || released {
        let mut object = object.clone();
        let mut owners = object.owners().to_vec();
        owners.retain(|owner| !unwanted.contains(&owner.text("/uid")));
        let metadata = object.metadata_mut();
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        } else {
            metadata.insert("ownerReferences".into(), owners.into());
        }
        delete::put(writer, resource, object);
        return;
    }
    let has = |name: &str| object.finalizers().iter().any(|finalizer| finalizer == name);
    let options = DeleteOptions {
        propagation: if has(ORPHAN) {
            Propagation::Orphan
        } else if has(FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        },
        uid: Some(object.uid().to_owned()),
        ..DeleteOptions::default()
    };
    let place = Place { resource, namespace: object.namespace(), name: object.name() };
    // It was there when the pass began; its being gone by now is what is wanted.
    let _ = delete::delete_in(writer, place, &options);
}

/// Takes the collector's finalizer off an owner whose dependents are gone or let go.
fn release(writer: &mut Writer<'_>, graph: &Graph, resource: &'static Resource, owner: &Value) {
    let (namespace, name) = (owner.namespace(), owner.name());
    let is_owned = |object: &Value| {
        object.owners().iter().any(|reference| reference.text("/uid") == owner.uid())
    };
    let blocked = graph.dependents.iter().any(|(kind, object)| {
        let now = writer.get(kind, object.namespace(), object.name());
        now.is_some_and(|now| {
            now.uid() == object.uid()
                && is_owned(&now)
                && now.owners().iter().any(|reference| {
                    reference.text("/uid") == owner.uid() && reference["blockOwnerDeletion"] == true
                })
        })
    });
    let Some(now) = writer.get(resource, namespace, name).filter(|now| now.uid() == owner.uid())
    else {
        return;
    };
    let mut object = Value::clone(&now);
    delete::set_finalizers(&mut object, |finalizers| {
        finalizers.retain(|finalizer| finalizer != ORPHAN && (blocked || finalizer != FOREGROUND));
    });
    delete::put(writer, resource, object);
}
