//! What the store tells of its writes, and to whom.

use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::super::resource::Resource;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is different.
    Modified,
    /// It is gone.
    Deleted,
}

/// One write.
#[derive(Debug)]
pub struct Event {
    /// The write's version, which the object carries.
    pub version: u64,
    /// The kind of the object.
    pub resource: &'static Resource,
    /// What happened.
    pub change: Change,
    /// The object after the write; of a deleted one its last state.
    pub object: Arc<Value>,
    /// The object before the write.
    pub previous: Option<Arc<Value>>,
}

/// Somebody who hears of every write at once, in order, while the writer holds the store.
/// It must be quick and must not ask the store anything.
pub trait Observer: Send + Sync {
    /// A write has happened.
    fn observe(&self, event: &Event);
}

/// What happens from now on. It ends for a reader that lags too far behind.
pub type Events = mpsc::Receiver<Arc<Event>>;

/// A watch asked for a version that is no longer remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {asked} is older than {oldest}, the oldest that is remembered")]
pub struct Expired {
    /// What was asked for.
    pub asked: u64,
    /// From where on watches can start.
    pub oldest: u64,
}

pub(super) enum Watcher {
    Events { resource: &'static Resource, sender: mpsc::Sender<Arc<Event>> },
    Signal { wanted: fn(&Event) -> bool, notify: Weak<Notify> },
    Observer(Weak<dyn Observer>),
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Events { resource, .. } => resource.plural,
            Self::Signal { .. } => "signal",
            Self::Observer(_) => "observer",
        })
    }
}
