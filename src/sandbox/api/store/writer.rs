//! What can be done while the store is held.

use std::sync::{Arc, MutexGuard};

use serde_json::Value;

use super::{
    super::{object::Object, resource::Resource},
    Change, State,
};

/// The store while one writer holds it.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) state: MutexGuard<'a, State>,
}

impl Writer<'_> {
    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The rows that a definition has made.
    pub fn custom(&self, definition: &str) -> Vec<&'static Resource> {
        self.state.customs.get(definition).cloned().unwrap_or_default()
    }

    /// Every kind that there is.
    pub fn resources(&self) -> Vec<&'static Resource> {
        self.state.resources().collect()
    }

    /// One object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state.get(resource, namespace, name)
    }

    /// All objects of a kind, or those in one namespace.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.state.list(resource, namespace)
    }

    /// The object with a uid, and its kind.
    pub fn by_uid(&self, uid: &str) -> Option<(&'static Resource, Arc<Value>)> {
        self.state.by_uid(uid)
    }

    /// The objects that name a uid as an owner's, of one kind or of all.
    pub fn owned(
        &self,
        uid: &str,
        only: Option<&'static Resource>,
    ) -> Vec<(&'static Resource, Arc<Value>)> {
        self.state.owned(uid, only)
    }

    /// Puts an object in its place, gives it its version and tells the watchers. An object
    /// that says nothing new is no write.
    pub fn put(&mut self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        let previous = self.get(resource, &namespace, &name);
        if let Some(previous) = &previous {
            let version = previous.resource_version().to_string();
            object.metadata_mut().insert("resourceVersion".into(), version.into());
            if **previous == object {
                return Arc::clone(previous);
            }
        }
        let state = &mut *self.state;
        state.version += 1;
        object.metadata_mut().insert("resourceVersion".into(), state.version.to_string().into());
        let object = Arc::new(object);
        state
            .objects
            .entry(resource.storage())
            .or_default()
            .entry(namespace)
            .or_default()
            .insert(name, Arc::clone(&object));
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        state.publish(resource, change, Arc::clone(&object), previous);
        object
    }

    /// Takes an object away and tells the watchers. Its last state carries the version of
    /// its removal.
    pub fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let state = &mut *self.state;
        let collection = state.objects.get_mut(&resource.storage())?;
        let space = collection.get_mut(namespace)?;
        let previous = space.remove(name)?;
        if space.is_empty() {
            collection.remove(namespace);
        }
        state.version += 1;
        let mut last = Value::clone(&previous);
        last.metadata_mut().insert("resourceVersion".into(), state.version.to_string().into());
        let last = Arc::new(last);
        state.publish(resource, Change::Deleted, Arc::clone(&last), Some(previous));
        Some(last)
    }
}
