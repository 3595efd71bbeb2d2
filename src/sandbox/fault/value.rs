//! What may stand behind a fault's equals sign.

use std::{fmt, str::FromStr, time::Duration};

use super::FaultError;

/// A share from 0 to 100 percent, written `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// A share of at most 100 percent; `None` beyond.
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// The number before the percent sign.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        text.strip_suffix('%').and_then(digits).and_then(Self::new).ok_or_else(|| {
            FaultError::Value {
                given: text.to_owned(),
                wanted: "percentage from 0 to 100",
                example: "loss=10%",
            }
        })
    }
}

/// Which requests a fault meets: a share of all, written `20%`, or the next so many, written
/// as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Each with this chance.
    Percent(Percent),
    /// The first ones after the fault began.
    Count(u32),
}

impl Share {
    /// Every request.
    pub const ALL: Self = Self::Percent(Percent(100));

    /// Reads `20%` or `5`; what isn't there is all.
    pub(super) fn read(value: Option<&str>, example: &'static str) -> Result<Self, FaultError> {
        let Some(text) = value else { return Ok(Self::ALL) };
        let wrong =
            || FaultError::Value { given: text.to_owned(), wanted: "percentage or count", example };
        if text.ends_with('%') {
            text.parse().map(Self::Percent).map_err(|_| wrong())
        } else {
            digits(text).map(Self::Count).ok_or_else(wrong)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => percent.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// A number without a sign.
fn digits<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads a duration, which must be there.
pub(super) fn duration(value: Option<&str>, example: &'static str) -> Result<Duration, FaultError> {
    let text = value.unwrap_or_default();
    humantime::parse_duration(text).map_err(|_| FaultError::Value {
        given: text.to_owned(),
        wanted: "duration",
        example,
    })
}

/// Writes a duration without spaces, which would cut the fault in two on a command line.
pub(super) fn write_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Reads a text that mustn't be empty.
pub(super) fn text(
    value: Option<&str>,
    wanted: &'static str,
    example: &'static str,
) -> Result<String, FaultError> {
    match value.unwrap_or_default() {
        "" => Err(FaultError::Value { given: String::new(), wanted, example }),
        text => Ok(text.to_owned()),
    }
}

/// Reads two texts around a sign, neither empty.
pub(super) fn pair(
    value: Option<&str>,
    sign: char,
    wanted: &'static str,
    example: &'static str,
) -> Result<(String, String), FaultError> {
    let given = value.unwrap_or_default();
    match given.split_once(sign) {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(FaultError::Value { given: given.to_owned(), wanted, example }),
    }
}

/// The name alone, where a fault takes no value.
pub(super) fn bare<F>(fault: F, name: &str, value: Option<&str>) -> Result<F, FaultError> {
    match value {
        None => Ok(fault),
        Some(value) => Err(FaultError::Name(format!("{name}={value}"))),
    }
}
