//! CustomResourceDefinitions that are to go: their instances go first.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::sandbox::api::{
    custom::{self, CLEANUP},
    delete::{self, DeleteOptions},
    object::Object,
    resource::CUSTOM_RESOURCE_DEFINITIONS,
    store::{Event, Store, Writer},
    write::Place,
};

/// Deletes the instances of definitions that are being deleted, until cancelled.
pub async fn clear_definitions(store: Arc<Store>, cancel: CancellationToken) {
    let wanted = |event: &Event| {
        event.resource == &CUSTOM_RESOURCE_DEFINITIONS || event.resource.definition().is_some()
    };
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || store.write(pass)).await;
}

fn pass(writer: &mut Writer<'_>) {
    for definition in writer.list(&CUSTOM_RESOURCE_DEFINITIONS, None) {
        let held = definition.finalizers().iter().any(|finalizer| finalizer == CLEANUP);
        if definition.is_deleting() && held {
            clear(writer, &definition);
        }
    }
}

fn clear(writer: &mut Writer<'_>, definition: &Value) {
    let name = definition.name();
    // All versions share their objects.
    if let Some(&resource) = writer.custom(name).first() {
        for object in writer.list(resource, None) {
            if !object.is_deleting() {
                let place = Place { resource, namespace: object.namespace(), name: object.name() };
                // It was there a line above, under the same lock.
                let _ = delete::delete_in(writer, place, &DeleteOptions::default());
            }
        }
        if !writer.list(resource, None).is_empty() {
            return;
        }
    }
    if let Some(object) = writer.get(&CUSTOM_RESOURCE_DEFINITIONS, "", name) {
        let mut object = Value::clone(&object);
        delete::set_finalizers(&mut object, |finalizers| {
            finalizers.retain(|finalizer| finalizer != custom::CLEANUP);
        });
        delete::put(writer, &CUSTOM_RESOURCE_DEFINITIONS, object);
    }
}
