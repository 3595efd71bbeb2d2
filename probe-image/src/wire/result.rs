//! What was seen.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Probe;

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeResult {
    /// The probe's id.
    pub id: u64,
    /// The agent's clock when the probe began.
    pub started: u64,
    /// Microseconds from begin to end.
    pub elapsed: u64,
    /// How the name was resolved; only for [`Target::Name`](super::Target::Name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// One entry for each address; empty only where a name had none of the family.
    pub dials: Vec<Dial>,
}

/// How a name was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Resolution {
    /// The name has these addresses.
    Resolved {
        /// In the resolver's order, each once.
        addresses: Vec<IpAddr>,
    },
    /// The resolver answered that the name doesn't exist or has no addresses.
    NoSuchName {
        /// For people.
        message: String,
    },
    /// No resolver answered, or it could not tell.
    Failed {
        /// For people.
        message: String,
    },
}

/// What came of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dial {
    /// The address.
    pub address: IpAddr,
    /// The most telling outcome of all attempts: connected before reset (a handshake was
    /// completed), prohibited, refused, no route, failed, timed out.
    pub outcome: Outcome,
    /// Every attempt in order of its begin.
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The agent's clock when it began.
    pub at: u64,
    /// Microseconds until its outcome was known (the handshake, not the answer).
    pub took: u64,
    /// The source port that it was bound to.
    pub port: u16,
    /// What came of it.
    pub outcome: AttemptOutcome,
}

/// What came of one attempt, without detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptOutcome {
    /// TCP, SCTP: the handshake was completed. UDP, ICMP: an answer came.
    Connected,
    /// RST in answer to the SYN, or ICMP port unreachable.
    Refused,
    /// ICMP administratively prohibited (RFC 1812, codes 9, 10, 13).
    Prohibited,
    /// ICMP host or network unreachable, or no local route.
    NoRoute,
    /// The connection was reset after the handshake.
    Reset,
    /// The agent's own kernel refused (EPERM, no free port, …).
    Failed,
    /// Nothing came before the window's end.
    TimedOut,
    /// Ended by another attempt's success.
    Abandoned,
}

/// What came of all attempts at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Outcome {
    /// TCP, SCTP: a handshake was completed. UDP, ICMP: an answer came.
    Connected {
        /// Who or what answered.
        answer: Answer,
    },
    /// RST in answer to a SYN, or ICMP port unreachable.
    Refused,
    /// ICMP administratively prohibited.
    Prohibited {
        /// Type and code of the ICMP message, as `3/13`.
        code: String,
    },
    /// ICMP host or network unreachable, or no local route.
    NoRoute {
        /// For people.
        message: String,
    },
    /// Every connection was reset after its handshake, before an answer.
    Reset,
    /// The agent's own kernel refused.
    Failed {
        /// For people, with the errno's name.
        message: String,
    },
    /// No attempt heard anything before the window's end.
    TimedOut,
    /// The agent's pod can't speak this protocol at all; nothing was sent.
    Unsupported {
        /// For people: what is missing.
        message: String,
    },
}

/// Who or what answered on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Answer {
    /// An agent of this run that knows the key and repeated the nonce.
    Agent {
        /// The identity that it was started with.
        identity: String,
        /// The address that the listener saw the question come from.
        saw: SocketAddr,
    },
    /// An application, by a reply that is no agent's.
    Application {
        /// The HTTP status, for HTTP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The reply's first bytes or what it was, for people.
        summary: String,
    },
    /// Nothing was said after the handshake: no proof of who took it.
    HandshakeOnly,
    /// TLS was agreed on, and nothing else was asked for.
    Tls {
        /// For people: `TLSv1_3`.
        version: String,
    },
    /// The connection stands, and no TLS came of it.
    TlsFailed {
        /// For people: what was wrong.
        message: String,
    },
    /// The answer to a DNS question.
    Dns {
        /// The response code's mnemonic, as `NXDOMAIN`.
        code: String,
        /// The data of the records of the type asked for.
        records: Vec<String>,
        /// What came of it where UDP brought only a part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<Truncated>,
    },
    /// The answer to a scripted datagram.
    Datagram {
        /// Its first 1,024 bytes, in hex.
        payload: String,
    },
    /// The echo of an ICMP request.
    Echo,
}

/// What came of asking again over TCP, because the answer over UDP had been cut short (its TC
/// bit; RFC 1035, 4.2.1, and RFC 7766, 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Truncated {
    /// TCP brought the answer.
    OverTcp,
    /// TCP brought none, and the answer is the part that came over UDP.
    NoTcp {
        /// For people: what came of it.
        message: String,
    },
}

/// What stands before the report of a pod's first instants, in the container's log.
pub const STARTUP_LINE: &str = "netproof-startup ";

/// What an agent dials from its first instant on, in the arguments of `serve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Startup {
    /// Milliseconds from one dial to the next.
    pub every: u32,
    /// Milliseconds from the first dial to the last.
    pub lasts: u32,
    /// What to dial; timings and nonces are the agent's own.
    pub probes: Vec<Probe>,
}

/// What an agent saw of one destination in its first instants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstInstants {
    /// The probe's id.
    pub id: u64,
    /// Dials that were made, without those that the agent's own kernel refused.
    pub attempts: u32,
    /// Milliseconds from the first dial to the end of the last.
    pub watched: u32,
    /// The first dial that connected.
    pub first: Option<FirstAnswer>,
    /// The last dial that connected.
    pub last: Option<FirstAnswer>,
}

/// A dial of an agent's first instants that connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstAnswer {
    /// Milliseconds after the first dial at which it began.
    pub after: u32,
    /// Who answered.
    pub answer: Answer,
}
