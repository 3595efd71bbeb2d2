//! Events: what controllers, scheduler and kubelet say about objects, as `kubectl describe`
//! shows it.
//!
//! ```text
//! recorder ─▶ bounded channel ─▶ one writer: counts what repeats, thins out what floods,
//!                                removes what is an hour old
//! ```
//!
//! A recorder never waits and may be used while the store is held. Like a real cluster's
//! it drops events rather than hold anybody up.

mod book;

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use self::book::Book;
use crate::sandbox::api::{object::Object, store::Store};

/// How many events may wait to be written.
const BUFFER: usize = 8_192;
/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It is.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    fn text(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    field: String,
}

/// What makes an event the same as one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    subject: Subject,
    component: String,
    host: String,
    kind: EventType,
    reason: String,
    message: String,
}

/// Writes events in the name of one component.
#[derive(Clone, Debug)]
pub struct Recorder {
    component: String,
    host: String,
    sender: mpsc::Sender<(Identity, Value)>,
}

impl Recorder {
    /// The recorder of another component with the same writer: `deployment-controller`, or
    /// `kubelet` on a host.
    pub fn of(&self, component: &str, host: &str) -> Self {
        Self { component: component.to_owned(), host: host.to_owned(), sender: self.sender.clone() }
    }

    /// A recorder whose events nobody keeps.
    pub fn deaf() -> Self {
        let (sender, _) = mpsc::channel(1);
        Self { component: String::new(), host: String::new(), sender }
    }

    /// Something normal has happened to an object.
    pub fn normal(&self, object: &Value, reason: &str, message: impl Into<String>) {
        self.about(object, "", EventType::Normal, reason, message);
    }

    /// Something has happened to an object that somebody should look at.
    pub fn warning(&self, object: &Value, reason: &str, message: impl Into<String>) {
        self.about(object, "", EventType::Warning, reason, message);
    }

    /// Something has happened to a part of an object: `spec.containers{web}`.
    pub fn about(
        &self,
        object: &Value,
        field: &str,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let subject = Subject {
            api_version: object.text("/apiVersion").to_owned(),
            kind: object.text("/kind").to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            field: field.to_owned(),
        };
        let identity = Identity {
            subject,
            component: self.component.clone(),
            host: self.host.clone(),
            kind,
            reason: reason.to_owned(),
            message: message.into(),
        };
        let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        // Dropped when the writer is that far behind.
        let _ = self.sender.try_send((identity, version));
    }
}

/// Makes the recorder of a store, and the task that writes what is recorded.
pub fn recorder(
    store: Arc<Store>,
    cancel: CancellationToken,
) -> (Recorder, impl Future<Output = ()> + Send) {
    let (sender, mut receiver) = mpsc::channel(BUFFER);
    let recorder = Recorder { component: String::new(), host: String::new(), sender };
    let task = async move {
        let mut book = Book::default();
        let mut sweep = tokio::time::interval(Duration::from_secs(10));
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                record = receiver.recv() => match record {
                    Some((identity, version)) => book.write(&store, identity, version, Instant::now()),
                    None => return,
                },
                _ = sweep.tick() => book.expire(&store, Instant::now()),
            }
            tokio::task::yield_now().await;
        }
    };
    (recorder, task)
}
