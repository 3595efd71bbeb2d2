//! What controllers ask for beside names: who has this uid, what does it own, and what in
//! a namespace has no controller yet.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::super::{object::Object, resource::Resource};

/// Where an object stands.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub resource: &'static Resource,
    pub namespace: String,
    pub name: String,
}

impl Spot {
    fn of(resource: &'static Resource, object: &Value) -> Self {
        Self { resource, namespace: object.namespace().to_owned(), name: object.name().to_owned() }
    }
}

/// Group, plural and namespace.
type Room = (&'static str, &'static str, String);

/// Objects by uid, by owner, and those without a controller.
#[derive(Debug, Default)]
pub(super) struct Index {
    spots: HashMap<String, Spot>,
    /// Uids of the dependents, by the uid of an owner.
    owned: HashMap<String, BTreeSet<String>>,
    /// Names of the objects without a controller.
    masterless: HashMap<Room, BTreeSet<String>>,
}

impl Index {
    /// Takes in that an object was `previous` and is `now`.
    pub(super) fn update(
        &mut self,
        resource: &'static Resource,
        previous: Option<&Value>,
        now: Option<&Value>,
    ) {
        if let (Some(previous), Some(now)) = (previous, now)
            && previous.uid() == now.uid()
            && previous["metadata"]["ownerReferences"] == now["metadata"]["ownerReferences"]
        {
            return;
        }
        if let Some(object) = previous {
            self.spots.remove(object.uid());
            for owner in object.owners() {
                if let Some(owned) = self.owned.get_mut(owner.text("/uid")) {
                    owned.remove(object.uid());
                    if owned.is_empty() {
                        self.owned.remove(owner.text("/uid"));
                    }
                }
            }
            let room = room(resource, object.namespace());
            if let Some(names) = self.masterless.get_mut(&room) {
                names.remove(object.name());
                if names.is_empty() {
                    self.masterless.remove(&room);
                }
            }
        }
        if let Some(object) = now {
            self.spots.insert(object.uid().to_owned(), Spot::of(resource, object));
            for owner in object.owners() {
                let owned = self.owned.entry(owner.text("/uid").to_owned()).or_default();
                owned.insert(object.uid().to_owned());
            }
            if is_adoptable(resource)
                && !object.owners().iter().any(|owner| owner["controller"] == true)
            {
                let names = self.masterless.entry(room(resource, object.namespace())).or_default();
                names.insert(object.name().to_owned());
            }
        }
    }

    /// Where the object with a uid stands.
    pub(super) fn spot(&self, uid: &str) -> Option<&Spot> {
        self.spots.get(uid)
    }

    /// Where the objects stand that name this uid as an owner's.
    pub(super) fn owned(&self, uid: &str) -> impl Iterator<Item = &Spot> {
        let owned = self.owned.get(uid).into_iter().flatten();
        owned.filter_map(|uid| self.spots.get(uid))
    }

    /// The names of a kind's objects in a namespace that have no controller.
    pub(super) fn masterless(
        &self,
        resource: &'static Resource,
        namespace: &str,
    ) -> impl Iterator<Item = &String> {
        self.masterless.get(&room(resource, namespace)).into_iter().flatten()
    }
}

fn room(resource: &Resource, namespace: &str) -> Room {
    let (group, plural) = resource.storage();
    (group, plural, namespace.to_owned())
}

/// Whether some controller adopts objects of a kind.
fn is_adoptable(resource: &Resource) -> bool {
    matches!(
        (resource.group, resource.plural),
        ("", "pods") | ("apps", "replicasets" | "controllerrevisions") | ("batch", "jobs")
    )
}
