//! When a step has settled, and what its rounds add up to.
//!
//! A change travels. A denial seen too early may be an allow that hasn't arrived
//! (L44), an allow seen too early may be closed by a policy still on its way (L16).
//! So no case passes before every case of the step is as expected or has spent its
//! budget, a settling time has gone by, and three more rounds have held.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Claim, Judgement, Observation, Reason, Verdict, judge_denial};

/// How often a case whose budget is spent may keep the step waiting by changing again: a
/// step must end, whatever its cases do.
const LATE_CHANGES: u32 = 3;

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

#[derive(Debug)]
struct Track {
    expectation: Expectation,
    history: Vec<Change>,
    last: Option<Judgement>,
    /// In a counted round it was as expected.
    arrived: bool,
    changes_since: usize,
    /// When the contrary was last seen.
    contrary_at: Option<Duration>,
    latency: Option<Duration>,
    latency_gap: Duration,
    rejected: Option<Observation>,
    silent: Option<(Duration, Duration)>,
    /// What was seen after the budget had been spent, and should not have been.
    late: Option<Judgement>,
    /// Changes after the budget had been spent.
    late_changes: u32,
    /// Rounds in a row that passed, up to the last.
    passed: u32,
    /// The last round that could not tell.
    doubt: Option<Judgement>,
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

impl Track {
    fn new(expectation: Expectation) -> Self {
        Self {
            expectation,
            history: Vec::new(),
            last: None,
            arrived: false,
            changes_since: 0,
            contrary_at: None,
            latency: None,
            latency_gap: Duration::ZERO,
            rejected: None,
            silent: None,
            late: None,
            late_changes: 0,
            passed: 0,
            doubt: None,
        }
    }

    fn budget_ends(&self) -> Duration {
        self.expectation.changed_at + self.expectation.within
    }

    fn passes(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.verdict == Verdict::Pass)
    }

    /// It passes as a denial that nothing answered.
    fn is_silent(&self) -> bool {
        let silent = |reason: &Reason| {
            matches!(reason, Reason::Dropped | Reason::Cut { seen: Observation::TimedOut })
        };
        self.last.as_ref().is_some_and(|last| silent(&last.reason))
    }

    /// What it is about isn't there.
    fn is_absent(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.verdict == Verdict::NotRun)
    }

    /// It may still become as expected, and so the step must not be judged.
    fn waits(&self, now: Duration) -> bool {
        let open = !self.has_failed() && !self.passes() && !self.is_absent();
        open && now < self.budget_ends()
    }

    fn has_failed(&self) -> bool {
        self.changes_since > 0 || self.late.is_some()
    }

    /// Takes a sighting; true if its verdict differs from the one before and the step must
    /// wait for that: it need not for a case that can't pass any more, nor without end.
    fn round(&mut self, round: u32, times: RoundTimes, sighting: Sighting) -> bool {
        let Sighting { judgement, seen, at } = sighting;
        let news = self
            .history
            .last()
            .is_none_or(|last| std::mem::discriminant(&last.seen) != std::mem::discriminant(&seen));
        let verdict = judgement.verdict;
        let changed = self.last.as_ref().is_some_and(|last| last.verdict != verdict);
        if news {
            // Most cases are seen the same way from first to last.
            self.history.reserve_exact(1);
            self.history.push(Change { round, at, seen: seen.clone() });
        }
        let spent = times.started >= self.budget_ends();
        self.late_changes += u32::from(changed && spent);
        self.passed = if verdict == Verdict::Pass { self.passed + 1 } else { 0 };
        match verdict {
            Verdict::Fail => {
                if spent && self.late.is_none() {
                    self.late = Some(judgement.clone());
                }
                // A denial is of one kind as long as nothing got through.
                self.rejected = None;
                self.silent = None;
                if self.arrived && times.counted && changed {
                    self.changes_since += 1;
                }
                self.contrary_at = Some(at);
            }
            Verdict::Pass => {
                if let Some(contrary_at) = self.contrary_at
                    && self.latency.is_none()
                    && self.changes_since == 0
                {
                    self.latency = Some(at.saturating_sub(self.expectation.changed_at));
                    self.latency_gap = at.saturating_sub(contrary_at);
                }
                if times.counted {
                    if self.arrived && changed && self.changes_since > 0 {
                        self.changes_since += 1;
                    }
                    self.arrived = true;
                }
                self.note_denial(&seen, times);
            }
            Verdict::Inconclusive | Verdict::NotRun => self.doubt = Some(judgement.clone()),
        }
        self.last = Some(judgement);
        changed && !self.has_failed() && self.late_changes <= LATE_CHANGES
    }

    fn note_denial(&mut self, seen: &Observation, times: RoundTimes) {
        match seen {
            Observation::Refused | Observation::Prohibited { .. } => {
                self.rejected = Some(seen.clone());
            }
            Observation::TimedOut => {
                let (from, _) = self.silent.unwrap_or((times.started, times.ended));
                self.silent = Some((from, times.ended));
            }
            _ => {}
        }
    }

    /// `hold` is the number of rounds in a row that a pass must have held.
    fn finish(self, hold: u32, cut: Option<&str>) -> Settled {
        let judgement = match (self.last, self.late, cut) {
            (None, _, cut) => Judgement::not_run(cut.unwrap_or("no round took place")),
            (Some(_), _, _) if self.changes_since > 0 => {
                Judgement::new(Verdict::Fail, Reason::Flapping { changes: self.changes_since })
            }
            (Some(_), Some(late), _) => late,
            (Some(last), None, Some(_))
                if matches!(last.verdict, Verdict::Inconclusive | Verdict::NotRun) =>
            {
                last
            }
            (Some(_), None, Some(because)) => Judgement::not_settled(because),
            // It could not be told often enough that the last rounds prove little.
            (Some(last), None, None) if last.verdict == Verdict::Pass && self.passed < hold => {
                self.doubt.unwrap_or_else(|| Judgement::not_settled("too few rounds held"))
            }
            (Some(last), None, None) => {
                let silent_for =
                    self.silent.map_or(Duration::ZERO, |(from, to)| to.saturating_sub(from));
                judge_denial(&self.expectation.claim, last, self.rejected.as_ref(), silent_for)
            }
        };
        let seen = self.history.last().map(|change| change.seen.clone());
        Settled {
            judgement,
            seen,
            history: self.history,
            latency: self.latency,
            latency_gap: self.latency_gap,
        }
    }
}

#[cfg(test)]
mod tests;
