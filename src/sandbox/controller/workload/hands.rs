//! How controllers write: through the same gates as a client, and only to the object that
//! they have looked at.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sandbox::{
    api::{
        delete::{self, DeleteOptions, Propagation},
        failure::Failure,
        object::Object,
        resource::Resource,
        store::Store,
        write::{self, Part, Place, WriteOptions},
    },
    controller::events::Recorder,
};

/// The field manager of all controllers.
const MANAGER: &str = "kube-controller-manager";

/// The store and the recorder, as one controller uses them.
#[derive(Clone)]
pub(in crate::sandbox::controller) struct Hands {
    pub store: Arc<Store>,
    pub events: Recorder,
}

fn options() -> WriteOptions {
    WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() }
}

impl Hands {
    pub(in crate::sandbox::controller) fn create(
        &self,
        resource: &'static Resource,
        namespace: &str,
        object: Value,
    ) -> Result<Arc<Value>, Failure> {
        let written = write::create(&self.store, resource, namespace, object, &options())?;
        Ok(written.object)
    }

    /// Changes an object as it is now, if it is still the same object. One that is gone, or
    /// that the change leaves as it was, is not written.
    pub(in crate::sandbox::controller) fn update(
        &self,
        resource: &'static Resource,
        known: &Value,
        part: Part,
        change: impl FnOnce(&mut Value),
    ) -> Result<Option<Arc<Value>>, Failure> {
        let place = Place { resource, namespace: known.namespace(), name: known.name() };
        let Some(now) = self.store.get(resource, place.namespace, place.name) else {
            return Ok(None);
        };
        if now.uid() != known.uid() {
            return Ok(None);
        }
        let mut after = Value::clone(&now);
        change(&mut after);
        if after == *now {
            return Ok(Some(now));
        }
        // The version in the object makes a write in between a conflict.
        match write::update(&self.store, place, part, &options(), |_| Ok(after)) {
            Ok(written) => Ok(Some(written.object)),
            Err(failure) if failure.reason == "NotFound" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes the status, if it is another than before.
    pub(in crate::sandbox::controller) fn status(
        &self,
        resource: &'static Resource,
        known: &Value,
        status: Value,
    ) -> Result<(), Failure> {
        let change = |object: &mut Value| object["status"] = status;
        self.update(resource, known, Part::Status, change).map(|_| ())
    }

    /// Deletes an object, if it is still the same object.
    pub(in crate::sandbox::controller) fn delete(
        &self,
        resource: &'static Resource,
        object: &Value,
        propagation: Propagation,
    ) -> Result<(), Failure> {
        let place = Place { resource, namespace: object.namespace(), name: object.name() };
        let uid = Some(object.uid().to_owned());
        let options = DeleteOptions { propagation, uid, ..DeleteOptions::default() };
        match delete::delete(&self.store, place, &options) {
            Ok(_) => Ok(()),
            Err(failure) if failure.reason == "NotFound" => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// The reference by which a dependent names its controller.
pub(in crate::sandbox::controller) fn controller_reference(
    resource: &Resource,
    owner: &Value,
) -> Value {
    json!({
        "apiVersion": resource.api_version(), "kind": resource.kind, "name": owner.name(),
        "uid": owner.uid(), "controller": true, "blockOwnerDeletion": true,
    })
}

/// The reference to an object's controller.
pub(in crate::sandbox::controller) fn controller_of(object: &Value) -> Option<&Value> {
    object.owners().iter().find(|owner| owner["controller"] == true)
}

/// Whether a reference names an object of a kind, whatever the version.
pub(in crate::sandbox::controller) fn is_of(reference: &Value, resource: &Resource) -> bool {
    let version = reference.text("/apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    reference["kind"] == resource.kind && group == resource.group
}

/// A whole number in an object, or another where it says none.
pub(in crate::sandbox::controller) fn number(value: &Value, otherwise: i64) -> i64 {
    value.as_i64().unwrap_or(otherwise)
}
