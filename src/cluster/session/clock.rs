//! Mapping an agent's clock to the runner's, by round trips.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Round trips that are kept; the best of them counts.
const KEPT: usize = 32;

/// How far two machines' clocks may drift apart: 100 µs a second, more than any quartz.
const DRIFT: u32 = 10_000;

/// The agent's clock, mapped to the runner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Half of the round trip that it was taken from, and drift since.
    pub error: Duration,
    anchor: Instant,
    micros: u64,
}

impl Clock {
    /// One that showed this at that time.
    #[cfg(test)]
    pub(crate) fn showing(micros: u64, anchor: Instant) -> Self {
        Self { error: Duration::ZERO, anchor, micros }
    }

    /// When the agent's clock showed this, within [`Self::error`].
    pub fn instant(&self, agent_micros: u64) -> Instant {
        let ahead = Duration::from_micros(agent_micros.saturating_sub(self.micros));
        let behind = Duration::from_micros(self.micros.saturating_sub(agent_micros));
        let instant = self.anchor.checked_add(ahead).unwrap_or(self.anchor);
        // An agent that claims to have acted before this machine was up is wrong anyhow.
        instant.checked_sub(behind).unwrap_or(instant)
    }
}

/// Round trips in which the agent told its clock.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    middle: Instant,
    half: Duration,
    micros: u64,
}

impl Sample {
    fn error(&self, now: Instant) -> Duration {
        self.half + now.saturating_duration_since(self.middle) / DRIFT
    }
}

impl Samples {
    /// The agent's clock showed `micros` at some time between the two.
    pub(super) fn add(&mut self, sent: Instant, received: Instant, micros: u64) {
        let half = received.saturating_duration_since(sent) / 2;
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Sample { middle: sent + half, half, micros });
    }

    /// The mapping with the smallest error by now.
    pub(super) fn best(&self, now: Instant) -> Option<Clock> {
        let best = self.0.iter().min_by_key(|sample| sample.error(now))?;
        Some(Clock { error: best.error(now), anchor: best.middle, micros: best.micros })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_shortest_round_trip_counts_until_it_is_stale() {
        let zero = Instant::now();
        let ms = |number| zero + Duration::from_millis(number);
        let mut samples = Samples::default();
        assert_eq!(samples.best(zero), None, "nothing is known before the first answer");
        samples.add(ms(0), ms(40), 1_000_000);
        samples.add(ms(100), ms(102), 1_101_000);
        samples.add(ms(200), ms(220), 1_210_000);
        let clock = samples.best(ms(220)).unwrap();
        assert_eq!(clock.instant(1_101_000), ms(101));
        assert_eq!(clock.instant(1_100_000), ms(100));
        assert!(clock.error < Duration::from_millis(2), "{:?}", clock.error);

        // 200 s later the drift alone is 20 ms.
        samples.add(ms(200_000), ms(200_020), 201_010_000);
        let clock = samples.best(ms(200_020)).unwrap();
        assert_eq!(clock.instant(201_010_000), ms(200_010));
    }

    proptest! {
        #[test]
        fn the_truth_lies_within_the_error(
            trips in prop::collection::vec((0_u64..60_000_000, 0_u64..50_000, 0_u64..50_000), 1..40),
            asked in 0_u64..60_000_000,
        ) {
            // An agent whose clock began one second before the runner's second zero.
            let zero = Instant::now();
            let at = |micros| zero + Duration::from_micros(micros);
            let mut samples = Samples::default();
            let mut now = zero;
            for (sent, there, back) in trips {
                samples.add(at(sent), at(sent + there + back), sent + there + 1_000_000);
                now = now.max(at(sent + there + back));
            }
            let clock = samples.best(now).unwrap();
            let told = clock.instant(asked + 1_000_000);
            let off = told.max(at(asked)) - told.min(at(asked));
            prop_assert!(off <= clock.error + Duration::from_micros(1), "{off:?} of {:?}", clock.error);
        }
    }
}
