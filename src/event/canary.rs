//! Canaries, and what came of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Family, IpProtocol, milliseconds},
    verdict::Observation,
};

/// Whether isolation bites: one node, direction, transport and family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The node that should enforce.
    pub node: String,
    /// The direction that should be isolated.
    pub direction: Direction,
    /// The transport that was tried.
    pub transport: IpProtocol,
    /// The family that was tried.
    pub family: Family,
    /// What came of it.
    pub state: CanaryState,
}

/// A direction of isolation, in NetworkPolicy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// Into the pod.
    Ingress,
    /// Out of the pod.
    Egress,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What came of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CanaryState {
    /// Reached, then isolated: the CNI enforces here.
    Proven {
        /// From the API server's answer to the policy's write to the first attempt of
        /// the first window in which nothing got through.
        #[serde(rename = "latencyMs", with = "milliseconds")]
        latency: Duration,
    },
    /// Still reached at the end of `--canary-within`: nothing enforces here.
    StillOpen {
        /// How long it was tried.
        #[serde(rename = "triedMs", with = "milliseconds")]
        tried: Duration,
    },
    /// It was never reached, so that its isolation proves nothing.
    NeverReached {
        /// What was seen instead.
        seen: Observation,
    },
    /// It was reached at first, and is no more; but not because of any policy, as far as
    /// can be told: its agent, its session or its way is gone.
    Lost {
        /// What was last seen of it.
        seen: Observation,
    },
}
