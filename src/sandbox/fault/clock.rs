//! Faults of clocks.

use std::{fmt, time::Duration};

use super::{
    Family, FaultError,
    value::{duration, write_duration},
};

/// A clock that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// The cluster's clock is ahead of its clients' by this much: `clock-offset=5m`.
    Ahead(Duration),
    /// The cluster's clock is behind by this much: `clock-offset=-5m`.
    Behind(Duration),
}

impl ClockFault {
    /// What to add to the true time.
    pub fn offset(self) -> jiff::SignedDuration {
        let (duration, sign) = match self {
            Self::Ahead(duration) => (duration, 1),
            Self::Behind(duration) => (duration, -1),
        };
        jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX) * sign
    }
}

impl Family for ClockFault {
    const NAMES: &'static [&'static str] = &["clock-offset=[-]DURATION"];

    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>> {
        let read = |value| duration(value, "clock-offset=5m");
        (name == "clock-offset").then(|| match value.and_then(|value| value.strip_prefix('-')) {
            Some(behind) => read(Some(behind)).map(Self::Behind),
            None => read(value).map(Self::Ahead),
        })
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(offset) => write!(f, "clock-offset={}", write_duration(*offset)),
            Self::Behind(offset) => write!(f, "clock-offset=-{}", write_duration(*offset)),
        }
    }
}
