//! The one line that says it all, and how times are written.

use std::time::Duration;

use super::Report;
use crate::event::Interruption;

/// `14 cases: 13 passed, 1 failed in 4.2s`.
pub(super) fn line(report: &Report) -> String {
    let counts = report.counts();
    let left_out = report.head.as_ref().map_or(0, |head| head.filtered_out);
    if report.head.is_none() {
        return "no case was asked".to_owned();
    }
    if counts.cases == 0 {
        return match left_out {
            0 => "no case ran: the suites have none".to_owned(),
            _ => format!("no case ran: the filter left out {}", all(left_out)),
        };
    }
    let marked = [
        (counts.unproven, "blocked, cause unproven"),
        (counts.handshake_only, "handshake only"),
        (counts.proving_nothing, "proving nothing"),
    ];
    let marked: Vec<_> = marked
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let marked =
        if marked.is_empty() { String::new() } else { format!(" ({})", marked.join("; ")) };
    let parts = [
        (counts.passed, format!("passed{marked}")),
        (counts.failed, "failed".to_owned()),
        (counts.inconclusive, "inconclusive".to_owned()),
        (counts.not_run, "not run".to_owned()),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let noun = if counts.cases == 1 { "case" } else { "cases" };
    let left_out =
        if left_out == 0 { String::new() } else { format!(" ({left_out} left out by the filter)") };
    let elapsed = duration(report.elapsed);
    format!("{} {noun}: {} in {elapsed}{left_out}", counts.cases, parts.join(", "))
}

fn all(count: usize) -> String {
    if count == 1 { "the only one".to_owned() } else { format!("all {count}") }
}

/// Why the run is not whole; nothing where it is.
pub(super) fn ending(report: &Report) -> Option<String> {
    let interrupted = report.interrupted.map(|by| match by {
        Interruption::Signal => "interrupted by a signal",
        Interruption::Deadline => "cut by its deadline (--deadline)",
        Interruption::FailFast => "stopped at the first failed case (--fail-fast)",
    });
    let unjudged = match report.counts().unjudged {
        0 => String::new(),
        1 => ": 1 case has no verdict".to_owned(),
        count => format!(": {count} cases have no verdict"),
    };
    match (interrupted, &report.aborted) {
        (Some(interrupted), _) => Some(format!("{interrupted}{unjudged}")),
        (None, Some(_)) => Some(format!("the run could not go on{unjudged}")),
        (None, None) if !report.is_complete() => Some(format!("incomplete{unjudged}")),
        (None, None) => None,
    }
}

/// A time for people: `<1ms`, `12ms`, `4.2s`, `1m 04s`.
pub(super) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds == 0 && !duration.is_zero() {
        "<1ms".to_owned()
    } else if milliseconds < 1_000 {
        format!("{milliseconds}ms")
    } else if milliseconds < 59_950 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        let seconds = duration.as_secs_f64().round() as u64;
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (milliseconds, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (4_249, "4.2s"),
            (59_949, "59.9s"),
            (59_950, "1m 00s"),
            (64_000, "1m 04s"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
    }
}
