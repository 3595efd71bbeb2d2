//! Spans of time in the few characters of a column.

use std::time::Duration;

use serde_json::Value;

use super::super::object::Object;

/// A span as kubectl shows it: two units while the first is small, one after that.
pub fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// How long ago a moment was; `<unknown>` without one.
pub(super) fn since(text: &str) -> String {
    let Ok(moment) = text.parse::<jiff::Timestamp>() else { return "<unknown>".to_owned() };
    let span = jiff::Timestamp::now().duration_since(moment);
    // Clocks differ a little; a moment that is just ahead is now.
    if span.as_secs() < -1 {
        return "<invalid>".to_owned();
    }
    human(Duration::try_from(span).unwrap_or_default())
}

/// How long ago an object was made.
pub(super) fn age(object: &Value) -> String {
    since(object.text("/metadata/creationTimestamp"))
}

/// The time between two moments.
pub(super) fn between(from: &str, to: &str) -> String {
    match (from.parse::<jiff::Timestamp>(), to.parse::<jiff::Timestamp>()) {
        (Ok(from), Ok(to)) => {
            human(Duration::try_from(to.duration_since(from)).unwrap_or_default())
        }
        _ => String::new(),
    }
}
