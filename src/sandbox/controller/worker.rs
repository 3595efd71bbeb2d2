//! The loop of a controller that looks at one object at a time.
//!
//! ```text
//! store ─ every write ─▶ concerns ─ keys ─▶ queue ─▶ sync ─▶ store
//! ```
//!
//! A write says which keys it concerns, without looking further; the loop then takes one
//! key after another and brings that object to where it should be, from the store as it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use crate::sandbox::api::{
    failure::Failure,
    object::Object,
    resource::Resource,
    store::{Event, Observer, Store},
};

/// A sync longer than this lets its key rest, for a multiple of the time that it took: an
/// object with a thousand dependents must not use a processor up.
const LONG: Duration = Duration::from_millis(2);
/// That multiple.
const REST: u32 = 4;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// What a controller is asked to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The object of the controller's kind with this namespace and name.
    Object(String, String),
    /// A dependent without a controller, which somebody may want to adopt.
    Orphan(String, String),
}

impl Key {
    pub(super) fn of(object: &serde_json::Value) -> Self {
        Self::Object(object.namespace().to_owned(), object.name().to_owned())
    }

    pub(super) fn orphan(object: &serde_json::Value) -> Self {
        Self::Orphan(object.namespace().to_owned(), object.name().to_owned())
    }
}

/// When to look again, if nothing happens: `None` is never.
pub(super) type Again = Option<Duration>;

/// One controller.
pub(super) trait Controller: Send + Sync + 'static {
    /// The kinds whose objects it wants to see at the start.
    fn kinds(&self) -> Vec<&'static Resource>;
    /// Queues what a write concerns. Called while the store is held.
    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key));
    /// Brings one object to where it should be.
    fn sync(&self, key: &Key) -> Result<Again, Failure>;
}

struct Ears<C> {
    controller: Arc<C>,
    queue: Arc<Queue<Key>>,
}

impl<C: Controller> Observer for Ears<C> {
    fn observe(&self, event: &Event) {
        self.controller.concerns(event, &mut |key| self.queue.add(key));
    }
}

/// Runs a controller until cancelled.
pub(super) async fn run<C: Controller>(
    store: Arc<Store>,
    controller: C,
    cancel: CancellationToken,
) {
    let controller = Arc::new(controller);
    let queue = Arc::new(Queue::new());
    let ears = Arc::new(Ears { controller: Arc::clone(&controller), queue: Arc::clone(&queue) });
    store.observe(&ears, &controller.kinds());
    loop {
        let key = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            key = queue.next() => key,
        };
        let start = Instant::now();
        match controller.sync(&key) {
            Ok(again) => {
                queue.succeeded(&key);
                if let Some(delay) = again {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(failure) => {
                tracing::debug!(%failure, ?key, "will be tried again");
                queue.retry(key.clone());
            }
        }
        let took = start.elapsed();
        if took > LONG {
            queue.rest(key, (took * REST).min(LONGEST_REST));
        }
        tokio::task::yield_now().await;
    }
}
