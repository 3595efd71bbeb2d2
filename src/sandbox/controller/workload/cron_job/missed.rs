//! The times at which a CronJob should have run.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::sandbox::api::Schedule;

/// So many missed times are too many.
const TOO_MANY: usize = 100;
/// The times of a schedule in a span: the last one, and whether there were too many.
pub(super) fn missed(
    schedule: &Schedule,
    zone: &TimeZone,
    after: Timestamp,
    until: Timestamp,
) -> (Option<Timestamp>, bool) {
    let mut last = None;
    let mut at = after;
    for _ in 0..=TOO_MANY {
        match schedule.next(at, zone) {
            Some(next) if next <= until => {
                last = Some(next);
                at = next;
            }
            _ => return (last, false),
        }
    }
    // Far too many to count: begin shortly before the end.
    let near = [SignedDuration::from_mins(2), SignedDuration::from_hours(48)];
    for span in near {
        let Ok(start) = until.checked_sub(span) else { continue };
        let mut at = start.max(at);
        let mut found = None;
        for _ in 0..4_000 {
            match schedule.next(at, zone) {
                Some(next) if next <= until => {
                    found = Some(next);
                    at = next;
                }
                _ => break,
            }
        }
        if found.is_some() {
            return (found, true);
        }
    }
    (last, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_missed_time_counts() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        for (message, schedule, after, until, expected) in [
            ("none", "0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:59:59Z", (None, false)),
            (
                "one",
                "0 * * * *",
                "2026-01-01T00:00:00Z",
                "2026-01-01T01:00:00Z",
                (Some(at("2026-01-01T01:00:00Z")), false),
            ),
            (
                "the last of some",
                "0 * * * *",
                "2026-01-01T00:00:00Z",
                "2026-01-01T05:30:00Z",
                (Some(at("2026-01-01T05:00:00Z")), false),
            ),
            (
                "far too many",
                "* * * * *",
                "2026-01-01T00:00:00Z",
                "2026-01-03T00:00:30Z",
                (Some(at("2026-01-03T00:00:00Z")), true),
            ),
        ] {
            let schedule = Schedule::parse(schedule).expect("a schedule");
            let found = missed(&schedule, &TimeZone::UTC, at(after), at(until));
            assert_eq!(found, expected, "{message}");
        }
    }
}
