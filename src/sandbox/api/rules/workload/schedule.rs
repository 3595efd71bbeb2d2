//! When a CronJob runs: five fields as cron has them, or `@hourly` and its like.
//!
//! A day fits if the day of the month and the weekday fit; if neither field is `*`, one of
//! them is enough. Times that a change of the clock leaves out are skipped.

use jiff::{Span, Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

/// A schedule can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// The minutes at which a CronJob runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that fit all fields.
    Fields(Fields),
    /// Always after so many seconds (`@every 5m`).
    Every(i64),
}

/// A bit for each value that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// The field begins with `*` or `?`: any day does.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What of it makes no sense.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => match text.strip_prefix("@every ") {
                Some(span) => return every(span).map(Self::Every),
                None if text.starts_with('@') => {
                    return Err(ScheduleError(format!("unrecognized descriptor: {text}")));
                }
                None => text,
            },
        };
        let parts: Vec<_> = fields.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            let count = parts.len();
            let shown = parts.join(" ");
            let error = format!("expected exactly 5 fields, found {count}: [{shown}]");
            return Err(ScheduleError(error));
        };
        let any = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        let weekdays = bits(weekday, 0, 7, &WEEKDAYS)?;
        Ok(Self::Fields(Fields {
            minute: bits(minute, 0, 59, &[])?,
            hour: bits(hour, 0, 23, &[])?,
            day: bits(day, 1, 31, &[])?,
            month: bits(month, 1, 12, &MONTHS)?,
            // Sunday is 0 and 7.
            weekday: (weekdays | (weekdays >> 7)) & 0x7f,
            any_day: any(day),
            any_weekday: any(weekday),
        }))
    }

    /// A time zone by its name.
    pub fn zone(name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    /// The first time after another at which it runs; `None` for a schedule that never
    /// fits (30 February).
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(seconds.seconds()).ok()
            }
            Self::Fields(fields) => {
                let mut local = zone.to_datetime(after);
                // Each round finds the next time on the clock; one that the clock leaves
                // out lies, by this zone's rules, at another time than it says.
                for _ in 0..64 {
                    local = fields.next(local)?;
                    let found = zone.to_ambiguous_timestamp(local);
                    let found = found.compatible().ok()?;
                    if found > after && zone.to_datetime(found) == local {
                        return Some(found);
                    }
                }
                None
            }
        }
    }
}

/// The seconds of a span of time as Go writes it: `1h30m`, at least one second.
fn every(span: &str) -> Result<i64, ScheduleError> {
    let wrong = || ScheduleError(format!("failed to parse duration @every {span}"));
    let parsed: Span = span.trim().parse().map_err(|_| wrong())?;
    let seconds = parsed.total(jiff::Unit::Second).map_err(|_| wrong())?;
    if !(0.0..1e9).contains(&seconds) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked in the lines above")]
    Ok((seconds as i64).max(1))
}

fn bits(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, ScheduleError> {
    let mut bits = 0;
    for part in field.split(',') {
        bits |= range(part, low, high, names)?;
    }
    Ok(bits)
}

/// `5`, `1-5`, `*/15`, `mon-fri` …
fn range(part: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, ScheduleError> {
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (part, None),
    };
    let value = |text: &str| -> Result<u32, ScheduleError> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(place) = named.and_then(|place| u32::try_from(place).ok()) {
            // Months count from 1, weekdays from 0.
            return Ok(place + low);
        }
        text.parse().map_err(|_| {
            ScheduleError(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"
            ))
        })
    };
    let (first, last) = match span.split_once('-') {
        _ if span == "*" || span == "?" => (low, if high == 7 { 6 } else { high }),
        Some((first, last)) => (value(first)?, value(last)?),
        None => {
            let first = value(span)?;
            (first, if step.is_some() { high } else { first })
        }
    };
    let step = match step {
        Some(step) => value(step)?,
        None => 1,
    };
    let check =
        |fits: bool, message: String| if fits { Ok(()) } else { Err(ScheduleError(message)) };
    check(first >= low, format!("beginning of range ({first}) below minimum ({low}): {part}"))?;
    check(last <= high, format!("end of range ({last}) above maximum ({high}): {part}"))?;
    check(
        first <= last,
        format!("beginning of range ({first}) beyond end of range ({last}): {part}"),
    )?;
    check(step > 0, format!("step of range should be a positive number: {part}"))?;
    let mut bits = 0;
    let mut at = first;
    while at <= last {
        bits |= 1 << at;
        at = at.saturating_add(step);
    }
    Ok(bits)
}

impl Fields {
    /// The first time on the clock after another, within the next eight years (in which
    /// every 29 February comes).
    fn next(&self, after: DateTime) -> Option<DateTime> {
        let fits = |bits: u64, value: i8| u32::try_from(value).is_ok_and(|at| bits >> at & 1 == 1);
        let start = after.checked_add(1.minute()).ok()?;
        let mut at = start.with().second(0).subsec_nanosecond(0).build().ok()?;
        let end = after.checked_add(8.years()).ok()?;
        while at <= end {
            if !fits(self.month, at.month()) {
                let first = at.date().first_of_month().checked_add(1.month()).ok()?;
                at = first.at(0, 0, 0, 0);
            } else if !self.day_fits(at) {
                at = at.date().tomorrow().ok()?.at(0, 0, 0, 0);
            } else if !fits(self.hour, at.hour()) {
                let hour = at.with().minute(0).build().ok()?;
                at = hour.checked_add(1.hour()).ok()?;
            } else if !fits(self.minute, at.minute()) {
                at = at.checked_add(1.minute()).ok()?;
            } else {
                return Some(at);
            }
        }
        None
    }

    fn day_fits(&self, at: DateTime) -> bool {
        let day = self.day >> at.day() & 1 == 1;
        let weekday = self.weekday >> at.weekday().to_sunday_zero_offset() & 1 == 1;
        if self.any_day || self.any_weekday { day && weekday } else { day || weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let schedule = Schedule::parse(schedule).expect(schedule);
        let zone = Schedule::zone(zone).expect("a zone");
        let next = schedule.next(after.parse().expect("a time"), &zone);
        next.map_or_else(|| "never".to_owned(), |time| time.to_string())
    }

    #[test]
    fn schedules_are_those_of_cron() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"),
            ("*/15 * * * *", "2026-01-01T00:16:00Z", "2026-01-01T00:30:00Z"),
            ("5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"),
            ("0 9-17/4 * * *", "2026-01-01T14:00:00Z", "2026-01-01T17:00:00Z"),
            ("@hourly", "2026-01-01T00:16:00Z", "2026-01-01T01:00:00Z"),
            ("@daily", "2026-01-31T00:16:00Z", "2026-02-01T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 * * mon-WED", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"),
            ("0 0 1 FEB *", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 30 2 *", "2026-01-01T00:00:00Z", "never"),
            // Either day is enough if both are given, and both are needed if one is any.
            ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 */2 * fri", "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, after, "UTC"), expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn the_clock_of_a_zone_counts() {
        for (schedule, after, expected) in [
            ("0 9 * * *", "2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"),
            ("0 9 * * *", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
            // 02:30 does not exist on the last Sunday of March.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
        ] {
            assert_eq!(next(schedule, after, "Europe/Berlin"), expected, "{schedule} {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "@never",
            "@every x",
            "1- * * * *",
            "-1 * * * *",
            "99999999999 * * * *",
            "*/99999999999 * * * *",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text:?}");
        }
    }
}
