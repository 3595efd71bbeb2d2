//! Durations in JSON: fractional milliseconds, under names that end in `Ms`.
//!
//! Exact to the nanosecond for anything shorter than a week, so that what is written
//! reads back equal.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// For `#[serde(with = …)]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_nanos() as f64 / 1e6)
}

/// For `#[serde(with = …)]`.
///
/// # Errors
/// The value is no number, negative, or too large for a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(f64::deserialize(deserializer)?)
}

fn duration<E: de::Error>(milliseconds: f64) -> Result<Duration, E> {
    let nanoseconds = (milliseconds * 1e6).round();
    if (0.0..u64::MAX as f64).contains(&nanoseconds) {
        Ok(Duration::from_nanos(nanoseconds as u64))
    } else {
        Err(E::custom(format_args!("{milliseconds} is no duration in milliseconds")))
    }
}

/// For durations that may be absent, written as `null`.
pub mod option {
    use super::*;

    /// For `#[serde(with = …)]`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = …)]`.
    ///
    /// # Errors
    /// As for a duration that is there.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(deserializer)?.map(duration).transpose()
    }
}
