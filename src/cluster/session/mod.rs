//! A kept session with one agent: exec once, ask often.
//!
//! ```text
//! Session ──Command──▶ driver ──lines──▶ link ──stdin──▶ agent (`dial`)
//!    ▲                   │   ◀─answers──      ◀─stdout──
//!    └─────oneshot───────┘   makes the link anew when it is lost
//! ```
//!
//! The driver owns every batch in flight. When a link is lost it asks the unanswered
//! probes again on the next one, with fresh nonces: a lost answer is never a sighting.

mod batch;
mod clock;
mod driver;
mod exec;
mod failure;
mod link;
mod pulse;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use netproof_probe::wire::{Probe, ProbeResult};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    batch::Command,
    driver::Driver,
    link::{Connect, Target},
    pulse::Patience,
};
use super::RunContext;

pub use clock::Clock;
pub use failure::{SessionError, SessionStage};

/// Commands that wait for the driver; more of them wait with their callers.
const COMMANDS: usize = 32;

/// A kept session with one agent. Clones share it.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    _stop: Arc<DropGuard>,
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchOutcome {
    /// The results that came, by the probes' ids.
    pub results: HashMap<u64, ProbeResult>,
    /// Why some are missing; none if all came.
    pub error: Option<SessionError>,
}

/// What the driver tells everybody.
struct Shared {
    pod: String,
    state: watch::Sender<State>,
    clock: Mutex<clock::Samples>,
}

/// How the session stands.
#[derive(Clone, Debug, Default)]
struct State {
    /// A link stands, and its agent has said hello.
    open: bool,
    /// Hellos so far.
    hellos: u32,
    /// What ended the last link, or kept it from opening.
    error: Option<SessionError>,
    /// The error is final: nothing will be tried again.
    ended: bool,
}

impl Session {
    /// Begins a session in the background and makes it again whenever it is lost, until
    /// the token is cancelled or the last clone is dropped.
    pub fn open(
        context: &RunContext,
        namespace: &str,
        pod: &str,
        container: &str,
        cancel: CancellationToken,
    ) -> Self {
        let target = Target {
            pod: format!("{namespace}/{pod}"),
            key: context.agent().key.clone(),
            image: context.agent().image.clone(),
        };
        let connect = exec::Exec::new(context, namespace, pod, container);
        Self::start(target, connect, Patience::default(), cancel)
    }

    fn start(
        target: Target,
        connect: impl Connect,
        patience: Patience,
        cancel: CancellationToken,
    ) -> Self {
        let cancel = cancel.child_token();
        let shared = Arc::new(Shared {
            pod: target.pod.clone(),
            state: watch::channel(State::default()).0,
            clock: Mutex::default(),
        });
        let (commands, received) = mpsc::channel(COMMANDS);
        let driver = Driver::new(target, connect, shared.clone(), received, patience);
        tokio::spawn(driver.run(cancel.clone()));
        Self { shared, commands, _stop: Arc::new(cancel.drop_guard()) }
    }

    /// Waits until the agent has said hello.
    ///
    /// # Errors
    /// At the deadline, or as soon as a new attempt can't help.
    pub async fn opened(&self, deadline: Instant) -> Result<(), SessionError> {
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| state.open || state.ended);
        let settled = tokio::time::timeout_at(deadline.into(), settled).await;
        match settled {
            Ok(Ok(state)) if state.open => Ok(()),
            _ => Err(self.shared.trouble(SessionStage::Exec, "no answer before the deadline")),
        }
    }

    /// Runs probes at once and waits for all of their results, at most until the deadline.
    /// Whatever isn't answered by then is given up.
    ///
    /// Probes in flight while the session is lost are asked again on the next one. Ids must
    /// be unique in a batch.
    pub async fn batch(
        &self,
        probes: Vec<Probe>,
        rate: Option<u32>,
        deadline: Instant,
    ) -> BatchOutcome {
        if probes.is_empty() {
            return BatchOutcome::default();
        }
        let (answer, answered) = oneshot::channel();
        let command = Command { probes, rate, deadline, answer };
        let sent = tokio::time::timeout_at(deadline.into(), self.commands.send(command)).await;
        let error = match sent {
            // The driver answers at the deadline by itself.
            Ok(Ok(())) => match answered.await {
                Ok(outcome) => return outcome,
                Err(_) => self.shared.trouble(SessionStage::Cancelled, "the session was ended"),
            },
            Ok(Err(_)) => self.shared.trouble(SessionStage::Cancelled, "the session was ended"),
            Err(_) => self.shared.trouble(SessionStage::Results, "too many batches are waiting"),
        };
        BatchOutcome { results: HashMap::new(), error: Some(error) }
    }

    /// The agent's clock; none before the first hello.
    pub fn clock(&self) -> Option<Clock> {
        self.shared.clock().best(Instant::now())
    }

    /// How often the session was lost and made again.
    pub fn remade(&self) -> u32 {
        self.shared.state.borrow().hellos.saturating_sub(1)
    }
}

impl Shared {
    fn clock(&self) -> std::sync::MutexGuard<'_, clock::Samples> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why something did not happen: the session's own trouble if it has one, else this.
    fn trouble(&self, stage: SessionStage, otherwise: &str) -> SessionError {
        let state = self.state.borrow();
        match &state.error {
            Some(error) if !state.open => error.clone(),
            _ => SessionError::new(&self.pod, stage, otherwise),
        }
    }
}
