//! When a heartbeat is due, and when its answer is overdue.

use std::time::{Duration, Instant};

/// How patient a session is.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long a connection and its hello may take.
    pub(super) opening: Duration,
    /// Between heartbeats while nothing is asked: load balancers cut idle streams, and the
    /// agent ends itself without.
    pub(super) idle: Duration,
    /// Between heartbeats while results are awaited, so that a dead line is noticed in time
    /// to ask again.
    pub(super) busy: Duration,
    /// How long a heartbeat's answer may take while nothing else moves either.
    pub(super) answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            busy: Duration::from_secs(2),
            answer: Duration::from_secs(10),
        }
    }
}

/// Heartbeats in close succession after the hello, for a good reading of the clock.
const READINGS: u32 = 4;

/// Heartbeats of one link.
pub(super) struct Pulse {
    /// The one whose answer is awaited.
    pub(super) sent: Option<(u64, Instant)>,
    pub(super) next: Instant,
    /// Quick ones still to send.
    readings: u32,
    patience: Patience,
}

impl Pulse {
    pub(super) fn new(patience: Patience) -> Self {
        Self { sent: None, next: Instant::now(), readings: READINGS, patience }
    }

    /// Plans the next heartbeat after one was answered.
    pub(super) fn beat(&mut self, idle: bool) {
        let pause = if self.readings > 0 {
            self.readings -= 1;
            Duration::ZERO
        } else if idle {
            self.patience.idle
        } else {
            self.patience.busy
        };
        self.next = Instant::now() + pause;
    }

    /// Results are awaited from now on.
    pub(super) fn hurry(&mut self) {
        self.next = self.next.min(Instant::now() + self.patience.busy);
    }

    /// When something is to be done about heartbeats.
    pub(super) fn wake(&self, moved: Instant) -> Instant {
        self.sent.map_or(self.next, |(_, sent)| self.overdue(sent, moved))
    }

    /// When a heartbeat's answer has been waited for in vain. A line on which anything moves
    /// is slow, not dead.
    pub(super) fn overdue(&self, sent: Instant, moved: Instant) -> Instant {
        sent.max(moved) + self.patience.answer
    }
}
