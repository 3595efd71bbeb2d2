//! What a runner and an agent say to each other: plain types, one JSON line each.
//!
//! ```text
//! runner  Open ─────────────▶  agent (`dial`, reached by exec)
//!              ◀───────────── Hello
//!         Batch ────────────▶
//!              ◀───────────── Result, Result, …, BatchDone
//!         Heartbeat ────────▶
//!              ◀───────────── Heartbeat
//! ```
//!
//! Times are microseconds of the agent's monotonic clock since its machine booted.
//! The runner maps them to its own clock by the heartbeats' round trips.

use serde::{Deserialize, Serialize};

pub mod hex;
mod probe;
mod result;

pub use probe::{
    DnsQuestion, Family, Hold, HttpRequest, Probe, Protocol, Question, Script, Target, Timing, Tls,
};
pub use result::{
    Answer, Attempt, AttemptOutcome, Dial, FirstAnswer, FirstInstants, Outcome, ProbeResult,
    Resolution, STARTUP_LINE, Startup, Truncated,
};

/// The protocol's version. An agent that hears another one answers [`Response::Error`].
pub const VERSION: u32 = 3;

/// The file name under which a binary acts as the agent, in the image and in the sandbox.
pub const BINARY: &str = "netproof-probe";

/// The port on which every agent takes the kubelet's readiness probe and, from
/// loopback, the heartbeats of its own sessions. Outside [`SOURCE_PORTS`].
pub const CONTROL_PORT: u16 = 61_000;

/// The source ports that dials are made from: one every 8 ms, so that none repeats for a
/// destination within 300 s however often a session is made anew.
pub const SOURCE_PORTS: std::ops::Range<u16> = 20_000..60_000;

/// A line from the runner to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// The first line of a session.
    Open {
        /// The runner's [`VERSION`].
        version: u32,
        /// The run's key in hex, with which questions and answers are tagged.
        key: String,
    },
    /// Proves that the session lives; answered with the same number.
    Heartbeat {
        /// Chosen by the runner.
        sequence: u64,
    },
    /// Probes to be made at once.
    Batch {
        /// Chosen by the runner; stands in each result.
        batch: u64,
        /// Upper limit of new connections a second by this agent; `None` is no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<u32>,
        /// What to dial.
        probes: Vec<Probe>,
    },
    /// Gives up a batch: no further result of it is wanted, `BatchDone` still comes.
    Cancel {
        /// The batch to give up.
        batch: u64,
    },
}

/// A line from the agent to the runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Response {
    /// The answer to [`Request::Open`].
    Hello {
        /// The agent's [`VERSION`].
        version: u32,
        /// The agent's crate version, for people.
        agent: String,
        /// The agent's clock as it wrote this line.
        clock: u64,
    },
    /// The answer to [`Request::Heartbeat`].
    Heartbeat {
        /// The request's number.
        sequence: u64,
        /// The agent's clock as it wrote this line.
        clock: u64,
    },
    /// One probe has ended.
    Result {
        /// The batch that asked for it.
        batch: u64,
        /// What it saw.
        result: ProbeResult,
    },
    /// Every probe of the batch has ended or was given up.
    BatchDone {
        /// The batch.
        batch: u64,
    },
    /// A line was not understood, or the version differs.
    Error {
        /// For people.
        message: String,
    },
}
