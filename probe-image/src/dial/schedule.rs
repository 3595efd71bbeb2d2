//! When the attempts of a dial are due, and when more of them are no use.

use std::time::Duration;

use crate::wire::AttemptOutcome;

/// So many rejections with nothing else between them end a dial: a fourth would say no more.
const REJECTIONS: usize = 3;

/// The attempts of a dial, evenly over its window.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// From the first attempt until silence counts as timed out.
    pub window: Duration,
    /// How many attempts there are.
    pub attempts: u32,
}

impl Schedule {
    /// When the next attempt is due, from the first one; `None` after the last.
    pub fn due(&self, made: usize) -> Option<Duration> {
        let made = u32::try_from(made).ok().filter(|made| *made < self.attempts)?;
        Some(self.window * made / self.attempts)
    }

    /// Between two attempts, and what the last one has at least.
    pub fn step(&self) -> Duration {
        self.window / self.attempts.max(1)
    }
}

/// Whether the attempts so far leave no hope for another one. `None` is one under way: a
/// silent attempt keeps a dial going, as a rejection may be that of one path among many,
/// and ICMP is sent at a limited rate.
pub fn is_rejected(outcomes: impl DoubleEndedIterator<Item = Option<AttemptOutcome>>) -> bool {
    let rejection = |outcome: &Option<AttemptOutcome>| {
        matches!(outcome, Some(AttemptOutcome::Refused | AttemptOutcome::Prohibited))
    };
    let mut outcomes = outcomes.rev();
    outcomes.by_ref().take(REJECTIONS).filter(rejection).count() == REJECTIONS
        && outcomes.all(|outcome| outcome.is_some())
}

#[cfg(test)]
mod tests {
    use AttemptOutcome::{NoRoute, Prohibited, Refused};

    use super::*;

    #[test]
    fn ten_attempts_fill_a_window_evenly() {
        let schedule = Schedule { window: Duration::from_millis(800), attempts: 10 };
        let due: Vec<_> =
            (0..11).map(|made| schedule.due(made).map(|due| due.as_millis())).collect();
        let every_80_ms: Vec<_> = (0..10).map(|made| Some(made * 80)).chain([None]).collect();
        assert_eq!(due, every_80_ms);
    }

    #[test]
    fn three_rejections_in_a_row_are_enough() {
        let refused = Some(Refused);
        for (outcomes, rejected, why) in [
            (vec![], false, "nothing tried"),
            (vec![refused, refused], false, "two may be luck"),
            (vec![refused, refused, refused], true, "three in a row"),
            (vec![refused, Some(Prohibited), refused], true, "of either kind"),
            (vec![refused, Some(NoRoute), refused, refused], false, "another outcome between"),
            (vec![Some(NoRoute), refused, refused, refused], true, "another outcome before"),
            (vec![refused, refused, None], false, "the last is under way"),
            (vec![None, refused, refused, refused], false, "the first is still silent"),
        ] {
            assert_eq!(is_rejected(outcomes.into_iter()), rejected, "{why}");
        }
    }
}
