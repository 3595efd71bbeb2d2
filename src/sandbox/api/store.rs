//! Every object of the cluster, in memory, with a version for each write.
//!
//! One mutex guards everything; nothing under it waits. A write is a closure over a
//! [`Writer`], so that checks, allocations and the write itself see one state. Each write
//! makes an [`Event`], which goes to the watchers and into a ring of recent events, from
//! which a watch may start late.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use self::{event::Watcher, index::Index};
pub use self::{
    event::{Change, Event, Events, Expired, Observer},
    writer::Writer,
};
use super::{
    custom,
    object::Object,
    resource::{ALL, CUSTOM_RESOURCE_DEFINITIONS, Resource},
};

/// How many events are remembered for watches that start late.
const RING: usize = 16_384;
/// How many events a watcher may lag behind before it is cut off.
const BUFFER: usize = 16_384;

/// All objects.
#[derive(Debug, Default)]
pub struct Store {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    objects: BTreeMap<(&'static str, &'static str), Collection>,
    ring: VecDeque<Arc<Event>>,
    /// The version of the last event that fell out of the ring.
    forgotten: u64,
    watchers: Vec<Watcher>,
    index: Index,
    /// The rows of custom resources, by the name of their definition.
    customs: BTreeMap<String, Vec<&'static Resource>>,
}

/// Namespace, then name. Cluster-scoped objects are in the namespace "".
type Collection = BTreeMap<String, BTreeMap<String, Arc<Value>>>;

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only a panic inside a write could poison it, and each write of the state is one
        // call that can't be seen half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and writes in one step that nobody else sees the middle of.
    pub fn write<R>(&self, change: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        change(&mut Writer { state: self.lock() })
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Every kind that there is: the built-in ones, and those that definitions have made.
    pub fn resources(&self) -> Vec<&'static Resource> {
        self.lock().resources().collect()
    }

    /// The row for a plural in a group and version.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
        Resource::find(group, version, plural).or_else(|| {
            let state = self.lock();
            let mut customs = state.customs.values().flatten().copied();
            customs.find(|row| row.plural == plural && row.group == group && row.version == version)
        })
    }

    /// One object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.lock().get(resource, namespace, name)
    }

    /// All objects of a kind, or those in one namespace, in order of namespace and name;
    /// with the version at which they stood so.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.lock();
        (state.list(resource, namespace), state.version)
    }

    /// The objects of several kinds as they stand at one version.
    pub fn snapshot<const N: usize>(
        &self,
        resources: [&Resource; N],
    ) -> ([Vec<Arc<Value>>; N], u64) {
        let state = self.lock();
        (resources.map(|resource| state.list(resource, None)), state.version)
    }

    /// All objects of a kind, and every event after that.
    pub fn list_and_watch(&self, resource: &'static Resource) -> (Vec<Arc<Value>>, u64, Events) {
        let mut state = self.lock();
        let receiver = state.subscribe(resource);
        (state.list(resource, None), state.version, receiver)
    }

    /// The remembered events after a version, and every event after those.
    ///
    /// # Errors
    /// [`Expired`], if an event after that version has been forgotten.
    pub fn watch(
        &self,
        resource: &'static Resource,
        after: u64,
    ) -> Result<(Vec<Arc<Event>>, Events), Expired> {
        let mut state = self.lock();
        if after < state.forgotten {
            return Err(Expired { asked: after, oldest: state.forgotten });
        }
        let start = state.ring.partition_point(|event| event.version <= after);
        let missed =
            state.ring.iter().skip(start).filter(|event| event.resource == resource).cloned();
        let missed = missed.collect();
        Ok((missed, state.subscribe(resource)))
    }

    /// The object with a uid, and its kind.
    pub fn by_uid(&self, uid: &str) -> Option<(&'static Resource, Arc<Value>)> {
        self.lock().by_uid(uid)
    }

    /// The objects that name a uid as an owner's, of one kind or of all.
    pub fn owned(
        &self,
        uid: &str,
        only: Option<&'static Resource>,
    ) -> Vec<(&'static Resource, Arc<Value>)> {
        self.lock().owned(uid, only)
    }

    /// The objects of a kind in a namespace that have no controller. Known only of pods and
    /// of what controllers make for controllers.
    pub fn masterless(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Value>> {
        let state = self.lock();
        let names = state.index.masterless(resource, namespace);
        names.filter_map(|name| state.get(resource, namespace, name)).collect()
    }

    /// Tells somebody of every write from now on, as long as it lives. First it hears of
    /// all objects of some kinds as if they were new.
    pub fn observe(&self, observer: &Arc<impl Observer + 'static>, known: &[&'static Resource]) {
        let mut state = self.lock();
        for &resource in known {
            for object in state.list(resource, None) {
                let version = object.resource_version();
                let (change, previous) = (Change::Added, None);
                observer.observe(&Event { version, resource, change, object, previous });
            }
        }
        let observer: Arc<dyn Observer> = Arc::clone(observer) as _;
        state.watchers.push(Watcher::Observer(Arc::downgrade(&observer)));
    }

    /// A signal that is set whenever an event is wanted. Signals coalesce: who hears one
    /// reads the store as it then is, and so misses nothing. Set from the beginning.
    pub fn signal(&self, wanted: fn(&Event) -> bool) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        notify.notify_one();
        let watcher = Watcher::Signal { wanted, notify: Arc::downgrade(&notify) };
        self.lock().watchers.push(watcher);
        notify
    }
}

impl State {
    fn resources(&self) -> impl Iterator<Item = &'static Resource> {
        ALL.iter().chain(self.customs.values().flatten()).copied()
    }

    /// Keeps the rows of custom resources in step with their definitions. What changes of a
    /// definition in its status alone makes no new rows.
    fn define(&mut self, definition: &Value, previous: Option<&Value>, gone: bool) {
        let name = definition.name();
        let same = previous.is_some_and(|previous| {
            let parts = ["/spec", "/status/acceptedNames", "/status/conditions"];
            parts.iter().all(|part| previous.pointer(part) == definition.pointer(part))
        });
        if gone {
            self.customs.remove(name);
        } else if !same {
            self.customs.insert(name.to_owned(), custom::rows(definition));
        }
    }

    fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let collection = self.objects.get(&resource.storage())?;
        collection.get(namespace)?.get(name).cloned()
    }

    fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(collection) = self.objects.get(&resource.storage()) else {
            return Vec::new();
        };
        match namespace {
            Some(namespace) => {
                collection.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
            }
            None => collection.values().flat_map(BTreeMap::values).cloned().collect(),
        }
    }

    fn by_uid(&self, uid: &str) -> Option<(&'static Resource, Arc<Value>)> {
        let spot = self.index.spot(uid)?;
        Some((spot.resource, self.get(spot.resource, &spot.namespace, &spot.name)?))
    }

    fn owned(
        &self,
        uid: &str,
        only: Option<&'static Resource>,
    ) -> Vec<(&'static Resource, Arc<Value>)> {
        self.index
            .owned(uid)
            .filter(|spot| only.is_none_or(|only| spot.resource == only))
            .filter_map(|spot| {
                Some((spot.resource, self.get(spot.resource, &spot.namespace, &spot.name)?))
            })
            .collect()
    }

    fn subscribe(&mut self, resource: &'static Resource) -> Events {
        let (sender, receiver) = mpsc::channel(BUFFER);
        self.watchers.push(Watcher::Events { resource, sender });
        receiver
    }

    fn publish(
        &mut self,
        resource: &'static Resource,
        change: Change,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
    ) {
        let now = (change != Change::Deleted).then_some(&*object);
        self.index.update(resource, previous.as_deref(), now);
        if resource == &CUSTOM_RESOURCE_DEFINITIONS {
            self.define(&object, previous.as_deref(), change == Change::Deleted);
        }
        let event = Arc::new(Event { version: self.version, resource, change, object, previous });
        if self.ring.len() == RING
            && let Some(oldest) = self.ring.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.ring.push_back(Arc::clone(&event));
        // A watcher that is full or gone is dropped: its stream ends, and it lists anew.
        self.watchers.retain(|watcher| match watcher {
            Watcher::Events { resource, sender } => {
                if *resource == event.resource {
                    sender.try_send(Arc::clone(&event)).is_ok()
                } else {
                    !sender.is_closed()
                }
            }
            Watcher::Observer(observer) => observer.upgrade().is_some_and(|observer| {
                observer.observe(&event);
                true
            }),
            Watcher::Signal { wanted, notify } => notify.upgrade().is_some_and(|notify| {
                if wanted(&event) {
                    notify.notify_one();
                }
                true
            }),
        });
    }
}

mod event;
mod index;
mod past;
#[cfg(test)]
mod tests;
mod writer;
