//! How a run is told to end early, and why.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::event::Interruption;

/// Tells a run to end: the first reason given is kept. What was created is still swept.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Interruption>>,
}

impl Stop {
    /// A run that goes on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run; later reasons are ignored.
    pub fn stop(&self, by: Interruption) {
        self.reason.get_or_init(|| by);
        self.token.cancel();
    }

    /// Why the run was told to end, if it was.
    pub fn reason(&self) -> Option<Interruption> {
        self.reason.get().copied()
    }

    /// True once the run was told to end.
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves once the run was told to end.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }
}

/// What a verdict that came too late says of the reason.
pub(super) fn cut(by: Interruption) -> &'static str {
    match by {
        Interruption::Signal => "the run was interrupted",
        Interruption::Deadline => "the run's deadline came first",
        Interruption::FailFast => "another case failed first (--fail-fast)",
    }
}
