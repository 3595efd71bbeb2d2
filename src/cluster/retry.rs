//! Growing pauses between attempts.

use std::time::Duration;

use kube::runtime::utils::Backoff as WatchBackoff;

/// Pauses that double from attempt to attempt, up to a limit. Up to half of each is left to
/// chance, so that ninety sessions that broke at once don't all come back at once.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// For the session with an agent: 50 ms to 5 s.
    pub(super) fn session() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(5))
    }

    /// For a single request: 100 ms to 2 s.
    pub(super) fn request() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }

    /// For a watch: 100 ms to 5 s.
    pub(super) fn watch() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }

    fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.limit);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins with the shortest pause again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause())
    }
}

impl WatchBackoff for Backoff {
    fn reset(&mut self) {
        Self::reset(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_again() {
        let mut backoff = Backoff::session();
        for full in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let pause = backoff.pause();
            let full = Duration::from_millis(full);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(50));
    }
}
