//! The switchboard of broken CNIs and networks.
//!
//! A fault is written as `--fault` takes it (`ignore-egress`, `delay=8s`, `loss=10%`) and
//! travels in that form, so that a name in a report is also what one types.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One way in which the sandbox's CNI or network misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Policies are accepted by the API and change nothing on the wire.
    EnforceNothing,
    /// Ingress rules and isolation are not enforced.
    IgnoreIngress,
    /// Egress rules and isolation are not enforced.
    IgnoreEgress,
    /// Every change of policy reaches the wire this much later.
    Delay(Duration),
    /// This share of the packets between pods is lost, each way.
    Loss(Percent),
    /// Nothing passes between the first and the second node.
    DeadPath,
    /// Denied connections are answered in place of being dropped: TCP with a reset,
    /// everything else with ICMP "administratively prohibited".
    Reject,
}

/// A share from 0 to 100 percent, written `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("`{0}` is no fault; {names} are", names = Fault::NAMES.join(", "))]
    Name(String),
    /// The delay is no duration.
    #[error("`{0}` is no duration, as in `delay=8s`")]
    Duration(String),
    /// The loss is no percentage.
    #[error("`{0}` is no percentage from 0 to 100, as in `loss=10%`")]
    Percent(String),
}

impl Fault {
    /// How each fault is written, in the order in which help texts list them.
    pub const NAMES: [&str; 7] = [
        "enforce-nothing",
        "ignore-ingress",
        "ignore-egress",
        "delay=DURATION",
        "loss=PERCENT",
        "dead-path",
        "reject",
    ];
}

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
        text.strip_suffix('%')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .and_then(Self::new)
            .ok_or_else(|| FaultError::Percent(text.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnforceNothing => f.write_str("enforce-nothing"),
            Self::IgnoreIngress => f.write_str("ignore-ingress"),
            Self::IgnoreEgress => f.write_str("ignore-egress"),
            Self::Delay(delay) => {
                // Spaces between the units would cut the fault in two on a command line.
                let delay = humantime::format_duration(*delay).to_string().replace(' ', "");
                write!(f, "delay={delay}")
            }
            Self::Loss(share) => write!(f, "loss={share}"),
            Self::DeadPath => f.write_str("dead-path"),
            Self::Reject => f.write_str("reject"),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        match text.split_once('=') {
            Some(("delay", delay)) => humantime::parse_duration(delay)
                .map(Self::Delay)
                .map_err(|_| FaultError::Duration(delay.to_owned())),
            Some(("loss", share)) => share.parse().map(Self::Loss),
            Some(_) => Err(FaultError::Name(text.to_owned())),
            None => match text {
                "enforce-nothing" => Ok(Self::EnforceNothing),
                "ignore-ingress" => Ok(Self::IgnoreIngress),
                "ignore-egress" => Ok(Self::IgnoreEgress),
                "delay" => Err(FaultError::Duration(String::new())),
                "loss" => Err(FaultError::Percent(String::new())),
                "dead-path" => Ok(Self::DeadPath),
                "reject" => Ok(Self::Reject),
                _ => Err(FaultError::Name(text.to_owned())),
            },
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_and_written_alike() {
        for (text, expected) in [
            ("enforce-nothing", Fault::EnforceNothing),
            ("ignore-ingress", Fault::IgnoreIngress),
            ("ignore-egress", Fault::IgnoreEgress),
            ("delay=8s", Fault::Delay(Duration::from_secs(8))),
            ("delay=1m30s", Fault::Delay(Duration::from_secs(90))),
            ("loss=10%", Fault::Loss(Percent(10))),
            ("loss=100%", Fault::Loss(Percent(100))),
            ("dead-path", Fault::DeadPath),
            ("reject", Fault::Reject),
        ] {
            assert_eq!(text.parse(), Ok(expected), "reading {text}");
            assert_eq!(expected.to_string(), text, "writing {expected:?}");
        }
    }

    #[test]
    fn what_is_no_fault_says_why() {
        for (text, expected) in [
            (
                "ignore-egres",
                "`ignore-egres` is no fault; enforce-nothing, ignore-ingress, ignore-egress, \
                 delay=DURATION, loss=PERCENT, dead-path, reject are",
            ),
            ("delay=soon", "`soon` is no duration, as in `delay=8s`"),
            ("delay", "`` is no duration, as in `delay=8s`"),
            ("loss=101%", "`101%` is no percentage from 0 to 100, as in `loss=10%`"),
            ("loss=10", "`10` is no percentage from 0 to 100, as in `loss=10%`"),
            ("loss=+1%", "`+1%` is no percentage from 0 to 100, as in `loss=10%`"),
            ("loss=%", "`%` is no percentage from 0 to 100, as in `loss=10%`"),
        ] {
            let error = text.parse::<Fault>().expect_err(text);
            assert_eq!(error.to_string(), expected, "reading {text}");
        }
    }
}
