//! One case of a step, followed through its rounds.

use std::time::Duration;

use super::{
    super::{Judgement, Observation, Reason, Verdict, judge_denial},
    Change, Expectation, RoundTimes, Settled, Sighting,
};

/// How often a case whose budget is spent may keep the step waiting by changing again: a
/// step must end, whatever its cases do.
const LATE_CHANGES: u32 = 3;

#[derive(Debug)]
pub(super) struct Track {
    expectation: Expectation,
    history: Vec<Change>,
    last: Option<Judgement>,
    /// In a counted round it was as expected.
    arrived: bool,
    changes_since: usize,
    /// When the contrary was last seen.
    contrary_at: Option<Duration>,
    pub(super) latency: Option<Duration>,
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

impl Track {
    pub(super) fn new(expectation: Expectation) -> Self {
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

    pub(super) fn passes(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.verdict == Verdict::Pass)
    }

    /// It passes as a denial that nothing answered.
    pub(super) fn is_silent(&self) -> bool {
        let silent = |reason: &Reason| {
            matches!(reason, Reason::Dropped | Reason::Cut { seen: Observation::TimedOut })
        };
        self.last.as_ref().is_some_and(|last| silent(&last.reason))
    }

    /// What it is about isn't there.
    pub(super) fn is_absent(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.verdict == Verdict::NotRun)
    }

    /// It may still become as expected, and so the step must not be judged.
    pub(super) fn waits(&self, now: Duration) -> bool {
        let open = !self.has_failed() && !self.passes() && !self.is_absent();
        open && now < self.budget_ends()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.changes_since > 0 || self.late.is_some()
    }

    /// Takes a sighting; true if its verdict differs from the one before and the step must
    /// wait for that: it need not for a case that can't pass any more, nor without end.
    pub(super) fn round(&mut self, round: u32, times: RoundTimes, sighting: Sighting) -> bool {
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
    pub(super) fn finish(self, hold: u32, cut: Option<&str>) -> Settled {
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
