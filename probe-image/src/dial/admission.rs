//! Who may dial now: enough files for every socket, and no more connections a second than
//! allowed.
//!
//! A dial takes its whole stake, one for each attempt, before it begins, so that no window
//! is starved half-way; what it didn't use goes to the next one at once. The rate thus holds
//! on average over a window.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, Notify, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// Hands out stakes.
#[derive(Debug)]
pub struct Admission {
    sockets: Semaphore,
    most: u32,
    turn: Turn<()>,
    /// Until when the connections granted so far use up the rate.
    spent: Mutex<Instant>,
    refunded: Notify,
}

/// The right to make some attempts.
#[derive(Debug)]
pub struct Place<'a> {
    admission: &'a Admission,
    /// For one attempt; zero without a rate.
    interval: Duration,
    unused: u32,
    _sockets: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// For at most `sockets` at once.
    pub fn new(sockets: usize) -> Self {
        let most = sockets.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            sockets: Semaphore::new(most),
            most: u32::try_from(most).unwrap_or(u32::MAX),
            turn: Turn::new(()),
            spent: Mutex::new(Instant::now()),
            refunded: Notify::new(),
        }
    }

    /// Waits for a stake of `attempts`, first come first served.
    pub async fn admit(&self, attempts: u32, rate: Option<u32>) -> Place<'_> {
        // The semaphore is never closed.
        let sockets = self.sockets.acquire_many(attempts.min(self.most)).await.ok();
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let place = Place { admission: self, interval, unused: attempts, _sockets: sockets };
        if interval.is_zero() {
            return place;
        }
        let _turn = self.turn.lock().await;
        loop {
            let refunded = self.refunded.notified();
            let spent = self.spend(interval * attempts);
            match spent {
                Ok(()) => return place,
                Err(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    () = refunded => {}
                },
            }
        }
    }

    fn spend(&self, stake: Duration) -> Result<(), Instant> {
        let now = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if *spent > now {
            return Err(*spent);
        }
        *spent = now + stake;
        Ok(())
    }
}

impl Place<'_> {
    /// Says how many attempts were made.
    pub fn used(&mut self, attempts: usize) {
        self.unused = self.unused.saturating_sub(u32::try_from(attempts).unwrap_or(u32::MAX));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.interval.is_zero() && self.unused > 0 {
            let mut spent = self.admission.spent.lock().unwrap_or_else(PoisonError::into_inner);
            *spent = spent.checked_sub(self.interval * self.unused).unwrap_or(*spent);
            drop(spent);
            self.admission.refunded.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn without_a_rate_only_files_are_scarce() {
        let admission = Admission::new(25);
        let first = admission.admit(10, None).now_or_never().expect("room for ten");
        let _second = admission.admit(10, None).now_or_never().expect("room for twenty");
        assert!(admission.admit(10, None).now_or_never().is_none(), "no room for thirty");
        drop(first);
        assert!(admission.admit(10, None).now_or_never().is_some(), "what ended makes room");
        let few = Admission::new(5);
        assert!(few.admit(10, None).now_or_never().is_some(), "alone, with what there is");
    }

    #[tokio::test]
    async fn what_a_dial_does_not_use_goes_to_the_next() {
        let admission = Admission::new(1_000);
        let mut first = admission.admit(10, Some(1)).await;
        let next = || admission.admit(10, Some(1)).now_or_never();
        assert!(next().is_none(), "the whole stake is out for ten seconds");
        first.used(0);
        drop(first);
        let mut second = next().expect("the stake came back");
        second.used(10);
        drop(second);
        assert!(next().is_none(), "what was used does not come back");
    }
}
