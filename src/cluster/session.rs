//! A kept session with one agent.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use netproof_probe::wire::{Probe, ProbeResult};
use tokio_util::sync::CancellationToken;

use super::RunContext;

/// A kept session with one agent. Clones share it.
#[derive(Clone)]
pub struct Session(());

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchOutcome {
    /// The results that came, by the probes' ids.
    pub results: HashMap<u64, ProbeResult>,
    /// Why some are missing; none if all came.
    pub error: Option<SessionError>,
}

/// Why an agent can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// `shop/np-abcdef-web-0`.
    pub pod: String,
    /// How far it got.
    pub stage: SessionStage,
    /// What happened, with the agent's last words on standard error.
    pub detail: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStage {
    /// The exec itself.
    Exec,
    /// The first exchange.
    Hello,
    /// Agent and runner speak different versions; a new session wouldn't help.
    Version,
    /// The session was lost and not made again in time.
    Lost,
    /// The session stands, and the results did not come in time.
    Results,
    /// The agent answered that it can't do what it was asked.
    Agent,
    /// The run was cancelled.
    Cancelled,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session with {}: {}", self.pod, self.detail)
    }
}

impl std::error::Error for SessionError {}

/// The agent's clock, mapped to the runner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Half of the round trip that it was taken from, and drift since.
    pub error: Duration,
    anchor: Instant,
    micros: u64,
}

impl Clock {
    /// When the agent's clock showed this, within [`Self::error`].
    pub fn instant(&self, agent_micros: u64) -> Instant {
        let _ = (self.micros, agent_micros);
        self.anchor
    }
}

impl Session {
    /// Begins a session in the background and makes it again whenever it is lost, until
    /// the token is cancelled or the last clone is dropped.
    pub fn open(
        _context: &RunContext,
        _namespace: &str,
        _pod: &str,
        _container: &str,
        _cancel: CancellationToken,
    ) -> Self {
        Self(())
    }

    /// Waits until the agent has said hello.
    ///
    /// # Errors
    /// At the deadline, or as soon as a new attempt can't help.
    pub async fn opened(&self, _deadline: Instant) -> Result<(), SessionError> {
        Ok(())
    }

    /// Runs probes at once and waits for all of their results.
    ///
    /// Probes in flight while the session is lost are asked again on the next one.
    pub async fn batch(
        &self,
        _probes: Vec<Probe>,
        _rate: Option<u32>,
        _deadline: Instant,
    ) -> BatchOutcome {
        BatchOutcome::default()
    }

    /// The agent's clock; none before the first hello.
    pub fn clock(&self) -> Option<Clock> {
        None
    }

    /// How often the session was lost and made again.
    pub fn remade(&self) -> u32 {
        0
    }
}
