//! What is expected or predicted of a connection; never what a probe saw.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is expected or predicted of a connection.
///
/// A probe's sighting is an `Observation`, a different type on purpose: a failure
/// to connect can't be written down as "blocked" without passing the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connectivity {
    /// The connection is to succeed.
    Allowed,
    /// The connection is to be prevented.
    Blocked,
}

impl fmt::Display for Connectivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allow",
            Self::Blocked => "deny",
        })
    }
}

/// An IP family. Each is judged apart: a policy may close one and leave the other open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}
