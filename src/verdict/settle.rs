//! When a step has settled, and what its rounds add up to.
//!
//! A change travels. A denial seen too early may be an allow that hasn't arrived
//! (L44), an allow seen too early may be closed by a policy still on its way (L16).
//! So no case passes before every case of the step is as expected or has spent its
//! budget, a settling time has gone by, and three more rounds have held.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::track::Track;
use super::{Claim, Judgement, Observation};

mod track;

/// How long a step must be calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlingRules {
    /// The least settling time: 1 s on a cluster, 100 ms in the sandbox.
    pub settle_at_least: Duration,
    /// Rounds that must hold afterwards.
    pub holding_rounds: u32,
    /// Where a denial is silence, how long the rounds must go on after the first that held:
    /// so long may a dead interface look alive to the kubelet, and so only the time after
    /// it proves that the interface was alive in that round.
    pub silence_at_least: Duration,
}

/// What is expected of one case of the step. Times count from the run's start.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The claim.
    pub claim: Claim,
    /// When the change that it depends on was complete.
    pub changed_at: Duration,
    /// How long after that it may take.
    pub within: Duration,
}

/// When a round took place, by the runner's clock since the run's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTimes {
    /// Before its first attempt.
    pub started: Duration,
    /// After its last result.
    pub ended: Duration,
    /// True if the step's marker had bitten before the round started, on all nodes in
    /// use; other rounds only date changes.
    pub counted: bool,
}

/// What one round saw of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The round's judgement.
    pub judgement: Judgement,
    /// What was seen.
    pub seen: Observation,
    /// When the attempt that shows it began, by the agent's clock mapped to the run's.
    pub at: Duration,
}

/// A change in what was seen of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The round in which it was seen, from 1.
    pub round: u32,
    /// Since the run's start.
    #[serde(rename = "atMs", with = "crate::model::milliseconds")]
    pub at: Duration,
    /// What was seen from then on.
    pub seen: Observation,
}

/// What a case's rounds add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The verdict.
    pub judgement: Judgement,
    /// What was last seen; `None` if no round took place.
    pub seen: Option<Observation>,
    /// Every change in what was seen, the first sighting included.
    pub history: Vec<Change>,
    /// From the change to the first attempt that was as expected, if a round before it
    /// had seen the contrary.
    pub latency: Option<Duration>,
    /// From the last attempt that showed the contrary to the one that `latency` names: the
    /// change may have come at any time between the two.
    pub latency_gap: Duration,
}

/// Follows the rounds of one step.
#[derive(Debug)]
pub struct Settling {
    rules: SettlingRules,
    cases: Vec<Track>,
    slowest: Duration,
    rounds: u32,
    last_change: Duration,
    held: u32,
    first_held: Duration,
    /// [`Self::round`] has said that the step is done.
    done: bool,
}

impl Settling {
    /// Starts to follow a step's cases.
    pub fn new(rules: SettlingRules, cases: Vec<Expectation>) -> Self {
        let last_change = cases.iter().map(|case| case.changed_at).max().unwrap_or_default();
        Self {
            rules,
            cases: cases.into_iter().map(Track::new).collect(),
            slowest: Duration::ZERO,
            rounds: 0,
            last_change,
            held: 0,
            first_held: Duration::ZERO,
            done: false,
        }
    }

    /// Notes a latency seen elsewhere in the run, such as the marker's.
    pub fn note_latency(&mut self, latency: Duration) {
        self.slowest = self.slowest.max(latency);
    }

    /// Twice the slowest latency seen, and no less than the rule's least.
    pub fn settle(&self) -> Duration {
        self.rules.settle_at_least.max(self.slowest * 2)
    }

    /// Rounds seen so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Takes one round's sightings, one per case in the order of [`Self::new`], and
    /// tells whether the step is done.
    pub fn round(&mut self, times: RoundTimes, sightings: Vec<Sighting>) -> bool {
        self.rounds += 1;
        let mut calm = times.counted;
        for (case, sighting) in self.cases.iter_mut().zip(sightings) {
            if case.round(self.rounds, times, sighting) {
                self.last_change = self.last_change.max(times.ended);
                calm = false;
            }
            if let Some(latency) = case.latency.filter(|_| !case.has_failed()) {
                self.slowest = self.slowest.max(latency);
            }
        }
        let waiting = self.cases.iter().any(|case| case.waits(times.ended));
        let settled = times.started >= self.last_change + self.settle();
        if !calm || waiting {
            self.held = 0;
        } else if settled {
            if self.held == 0 {
                self.first_held = times.ended;
            }
            self.held += 1;
        }
        let silent = self.cases.iter().any(Track::is_silent);
        let absent = !self.cases.is_empty() && self.cases.iter().all(Track::is_absent);
        self.done = absent
            || self.held >= self.rules.holding_rounds
                && (!silent || times.ended >= self.first_held + self.rules.silence_at_least);
        self.done
    }

    /// Cases that were as expected in the last round.
    pub fn as_expected(&self) -> usize {
        self.cases.iter().filter(|case| case.passes()).count()
    }

    /// True once some case can't pass any more.
    pub fn has_failed(&self) -> bool {
        self.cases.iter().any(Track::has_failed)
    }

    /// The verdicts. `cut` says why the rounds ended before [`Self::round`] said so: what
    /// isn't decided by then is inconclusive.
    pub fn finish(self, cut: Option<&str>) -> Vec<Settled> {
        let hold = if self.done { self.rules.holding_rounds } else { 0 };
        self.cases.into_iter().map(|case| case.finish(hold, cut)).collect()
    }
}

#[cfg(test)]
mod tests;
