//! The store as it stood at an earlier version, as far as the remembered events reach.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Expired, Store};
use crate::sandbox::api::{object::Object, resource::Resource};

impl Store {
    /// All objects of a kind, or those in one namespace, as they stood right after a
    /// version, in order of namespace and name.
    ///
    /// # Errors
    /// [`Expired`], if an event after that version has been forgotten.
    pub fn list_at(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Expired> {
        let state = self.lock();
        if version < state.forgotten {
            return Err(Expired { asked: version, oldest: state.forgotten });
        }
        let place = |object: &Value| (object.namespace().to_owned(), object.name().to_owned());
        let present = state.list(resource, namespace).into_iter();
        let mut objects: BTreeMap<_, _> = present.map(|object| (place(&object), object)).collect();
        // Undone from the last one back, each event leaves what was there before it.
        let later = state.ring.iter().rev().take_while(|event| event.version > version);
        for event in later.filter(|event| event.resource == resource) {
            if namespace.is_some_and(|namespace| event.object.namespace() != namespace) {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(place(previous), Arc::clone(previous)),
                None => objects.remove(&place(&event.object)),
            };
        }
        Ok(objects.into_values().collect())
    }
}
