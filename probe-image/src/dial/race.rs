//! The attempts of one dial: staggered over its window, each from a source port of its own.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use socket2::Socket;
use tokio::time::{Instant, sleep_until};

use super::{
    Call, Dialer,
    failure::Failure,
    schedule::{self, Schedule},
};
use crate::{
    clock,
    source_port::Transport,
    wire::{Attempt, AttemptOutcome, Dial, Outcome},
};

/// What becomes of an attempt once its socket is on its way.
pub type Flight<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// Attempts of one dial.
pub struct Race<'a, T, F> {
    dialer: &'a Dialer,
    call: &'a Call,
    transport: Transport,
    fly: F,
    schedule: Schedule,
    begun: Instant,
    launched: Instant,
    attempts: Vec<Attempt>,
    failures: Vec<Failure>,
    flights: FuturesUnordered<Flying<T>>,
}

/// An attempt under way, by its place in the list of attempts.
struct Flying<T> {
    index: usize,
    flight: Flight<T>,
}

impl<T> Future for Flying<T> {
    type Output = (usize, Result<T, Failure>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let index = self.index;
        self.flight.as_mut().poll(context).map(|result| (index, result))
    }
}

impl<'a, T: Send + 'static, F: Fn(Socket) -> Flight<T>> Race<'a, T, F> {
    /// A race that hasn't begun. `fly` makes of a connecting socket what is waited for.
    pub fn new(dialer: &'a Dialer, call: &'a Call, transport: Transport, fly: F) -> Self {
        Self {
            dialer,
            call,
            transport,
            fly,
            schedule: Schedule { window: call.window, attempts: call.attempts },
            begun: Instant::now(),
            launched: Instant::now(),
            attempts: Vec::new(),
            failures: Vec::new(),
            flights: FuturesUnordered::new(),
        }
    }

    /// Goes on until an attempt lands well, which is returned, or until all is lost.
    pub async fn next(&mut self) -> Option<(usize, T)> {
        loop {
            // What a pod can't speak it can't speak a moment later either.
            let mute = matches!(self.failures.last(), Some(Failure::Unsupported(_)));
            if mute || schedule::is_rejected(self.outcomes()) {
                return None;
            }
            let launch = self.next_launch();
            if launch.is_some_and(|due| due <= Instant::now()) {
                self.launch();
                continue;
            }
            if launch.is_none() && self.flights.is_empty() {
                return None;
            }
            let wake = launch.unwrap_or(self.end());
            tokio::select! {
                biased;
                Some(landing) = self.flights.next(), if !self.flights.is_empty() => {
                    let landed = self.land(landing);
                    if landed.is_some() {
                        return landed;
                    }
                }
                () = sleep_until(wake) => {
                    if launch.is_none() {
                        return self.last_look().await;
                    }
                }
            }
        }
    }

    /// One attempt more, outside the schedule, while the window lasts.
    pub async fn once_more(&mut self) -> Option<(usize, T)> {
        if Instant::now() >= self.begun + self.schedule.window {
            return None;
        }
        self.launch();
        let end = self.end();
        loop {
            tokio::select! {
                biased;
                landing = self.flights.next() => {
                    let landed = self.land(landing?);
                    if landed.is_some() {
                        return landed;
                    }
                }
                () = sleep_until(end) => return self.last_look().await,
            }
        }
    }

    /// Gives up all attempts that are still under way.
    pub fn abandon(&mut self) {
        self.close(AttemptOutcome::Abandoned);
    }

    /// The connection of an attempt was reset after its handshake.
    pub fn reset(&mut self, index: usize) {
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.outcome = AttemptOutcome::Reset;
            attempt.took = clock::now().saturating_sub(attempt.at).max(1);
        }
    }

    /// What came of it all: `outcome`, or the most telling failure.
    pub fn end_with(mut self, outcome: Option<Outcome>) -> Dial {
        self.close(AttemptOutcome::TimedOut);
        let failure = self.failures.into_iter().max_by_key(Failure::rank);
        let outcome = outcome.or(failure.map(Failure::outcome)).unwrap_or(Outcome::TimedOut);
        Dial { address: self.call.address.ip(), outcome, attempts: self.attempts }
    }

    /// When silence counts as timed out. An agent that was late to launch its last attempt
    /// still gives it its time.
    fn end(&self) -> Instant {
        let window = self.begun + self.schedule.window;
        window.max(self.launched + self.schedule.step())
    }

    fn next_launch(&self) -> Option<Instant> {
        Some(self.begun + self.schedule.due(self.attempts.len())?)
    }

    /// The attempts in order; `None` is one under way.
    fn outcomes(&self) -> impl DoubleEndedIterator<Item = Option<AttemptOutcome>> {
        self.attempts.iter().map(|attempt| (!is_under_way(attempt)).then_some(attempt.outcome))
    }

    fn launch(&mut self) {
        self.launched = Instant::now();
        if self.attempts.is_empty() {
            self.begun = self.launched;
        }
        let index = self.attempts.len();
        let at = clock::now();
        let (port, socket) = self.dialer.open(self.call.address, self.transport);
        self.attempts.push(Attempt { at, took: 0, port, outcome: AttemptOutcome::TimedOut });
        match socket {
            Ok(socket) => {
                let flight = (self.fly)(socket);
                self.flights.push(Flying { index, flight });
            }
            Err(failure) => {
                self.land((index, Err(failure)));
            }
        }
    }

    fn land(&mut self, (index, result): (usize, Result<T, Failure>)) -> Option<(usize, T)> {
        let attempt = self.attempts.get_mut(index)?;
        attempt.took = clock::now().saturating_sub(attempt.at).max(1);
        match result {
            Ok(landed) => {
                attempt.outcome = AttemptOutcome::Connected;
                Some((index, landed))
            }
            Err(failure) => {
                attempt.outcome = failure.attempt();
                self.failures.push(failure);
                None
            }
        }
    }

    /// A busy agent may be late to see what the kernel saw in time.
    async fn last_look(&mut self) -> Option<(usize, T)> {
        tokio::task::yield_now().await;
        while let Some(Some(landing)) = self.flights.next().now_or_never() {
            let landed = self.land(landing);
            if landed.is_some() {
                return landed;
            }
        }
        None
    }

    fn close(&mut self, outcome: AttemptOutcome) {
        let now = clock::now();
        self.flights = FuturesUnordered::new();
        for attempt in self.attempts.iter_mut().filter(|attempt| is_under_way(attempt)) {
            attempt.outcome = outcome;
            attempt.took = now.saturating_sub(attempt.at).max(1);
        }
    }
}

/// An attempt that has taken no time yet hasn't landed.
fn is_under_way(attempt: &Attempt) -> bool {
    attempt.took == 0
}
