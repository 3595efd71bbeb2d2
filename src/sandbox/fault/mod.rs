//! The switchboard of what can be broken on purpose.
//!
//! A fault is written as `--fault` takes it (`ignore-egress`, `delay=8s`, `api-429=20%`) and
//! travels in that form, so that a name in a report is also what one types. There is a
//! module for each part of the cluster that can break:
//!
//! | module | who makes it come true |
//! | --- | --- |
//! | [`network`] | the firewall, and the fabric between the nodes |
//! | [`api`] | the API server, in front of every request of a client |
//! | [`node`] | the kubelets |
//! | [`clock`] | whatever states a time |
//!
//! A fault holds as long as its `Fault` object exists. Requests about `Fault` objects never
//! meet one, so that each can be ended.

pub mod api;
pub mod clock;
pub mod network;
pub mod node;
pub mod value;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

pub use api::ApiFault;
pub use clock::ClockFault;
pub use network::NetworkFault;
pub use node::NodeFault;
pub use value::{Percent, Share};

/// One way in which the sandbox misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of the CNI, or of the network below it.
    Network(NetworkFault),
    /// Of the API server.
    Api(ApiFault),
    /// Of a node.
    Node(NodeFault),
    /// Of clocks.
    Clock(ClockFault),
}

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("`{0}` is no fault; {names} are", names = Fault::names().join(", "))]
    Name(String),
    /// The fault is there, but not with this value.
    #[error("`{given}` is no {wanted}, as in `{example}`")]
    Value {
        /// What was given.
        given: String,
        /// What it should have been: `duration`.
        wanted: &'static str,
        /// A whole fault that is right.
        example: &'static str,
    },
}

/// Faults of one part of the cluster.
trait Family: Sized + fmt::Display {
    /// How each is written, in the order in which help texts list them.
    const NAMES: &'static [&'static str];

    /// Reads a name and what stands behind its equals sign; `None` for a name that isn't
    /// of this family.
    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>>;
}

/// Reads a whole text as a fault of one family.
fn read<F: Family>(text: &str) -> Option<Result<F, FaultError>> {
    match text.split_once('=') {
        Some((name, value)) => F::read(name, Some(value)),
        None => F::read(text, None),
    }
}

impl Fault {
    /// How each fault is written.
    pub fn names() -> Vec<&'static str> {
        [NetworkFault::NAMES, ApiFault::NAMES, NodeFault::NAMES, ClockFault::NAMES].concat()
    }

    /// What a `Fault` object stands for; `None` for one that stands for nothing.
    pub fn of(object: &Value) -> Option<Self> {
        object.pointer("/spec/fault")?.as_str()?.parse().ok()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(fault) => fault.fmt(f),
            Self::Api(fault) => fault.fmt(f),
            Self::Node(fault) => fault.fmt(f),
            Self::Clock(fault) => fault.fmt(f),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let network = || Some(read(text)?.map(Self::Network));
        let api = || Some(read(text)?.map(Self::Api));
        let node = || Some(read(text)?.map(Self::Node));
        let clock = || Some(read(text)?.map(Self::Clock));
        network()
            .or_else(api)
            .or_else(node)
            .or_else(clock)
            .unwrap_or_else(|| Err(FaultError::Name(text.to_owned())))
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
mod tests;
