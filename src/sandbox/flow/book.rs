//! The last flows, and whoever waits for the next.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::broadcast;

use super::record::Flow;

/// How many flows are kept.
const KEPT: usize = 16_384;
/// How many a follower may lag behind.
const LAG: usize = 4096;

/// What the log says.
#[derive(Clone, Debug)]
pub(in crate::sandbox) enum Entry {
    /// A new connection.
    Flow(Arc<Flow>),
    /// So many were lost on a node, before they could be read.
    Lost {
        /// The node, or nothing where a follower was too slow.
        node: String,
        /// How many.
        count: u64,
        /// When that was noticed.
        time: jiff::Timestamp,
    },
}

impl Entry {
    /// As a line of JSON.
    pub(in crate::sandbox) fn line(&self) -> Bytes {
        let value = match self {
            Self::Flow(flow) => flow.value(),
            Self::Lost { node, count, time } => {
                let source =
                    if node.is_empty() { "HUBBLE_RING_BUFFER" } else { "PERF_EVENT_RING_BUFFER" };
                json!({
                    "lost_events": {"source": source, "num_events_lost": count},
                    "node_name": node,
                    "time": time,
                })
            }
        };
        format!("{value}\n").into()
    }
}

/// The kept flows.
#[derive(Debug)]
pub(in crate::sandbox) struct Book {
    kept: Mutex<VecDeque<Entry>>,
    followers: broadcast::Sender<Entry>,
}

impl Default for Book {
    fn default() -> Self {
        Self { kept: Mutex::default(), followers: broadcast::channel(LAG).0 }
    }
}

impl Book {
    pub(super) fn write(&self, entry: Entry) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(entry.clone());
        // Nobody follows: that is fine.
        let _ = self.followers.send(entry);
    }

    /// What is kept, and all that comes after.
    pub(in crate::sandbox) fn read(&self) -> (Vec<Entry>, broadcast::Receiver<Entry>) {
        // Subscribed under the lock: nothing is lost or doubled.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.followers.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_kept() {
        let book = Book::default();
        for number in 0..KEPT as u64 + 3 {
            let node = "one".to_owned();
            book.write(Entry::Lost { node, count: number, time: jiff::Timestamp::UNIX_EPOCH });
        }
        let (kept, mut next) = book.read();
        assert_eq!(kept.len(), KEPT);
        assert!(matches!(kept[0], Entry::Lost { count: 3, .. }), "{:?}", kept[0]);
        assert!(next.try_recv().is_err(), "nothing has come since");
    }
}
