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

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub mod hex;

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

/// One question to put to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Chosen by the runner, unique in its batch.
    pub id: u64,
    /// Whom to dial.
    pub target: Target,
    /// Of a name's addresses only those of this family are dialled; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The destination port; 0 for ICMP, which has none.
    pub port: u16,
    /// How to speak.
    pub protocol: Protocol,
    /// What to say once connected.
    pub question: Question,
    /// What to say besides, where it isn't what every probe of this protocol says.
    #[serde(default, skip_serializing_if = "Script::is_plain")]
    pub script: Script,
    /// How long and how often.
    #[serde(default)]
    pub timing: Timing,
}

/// What a probe says where its protocol leaves a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The request, for HTTP; a plain `GET /` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpRequest>,
    /// TLS between the handshake of TCP and everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// A DNS question, over UDP or TCP, in place of [`Question::Bare`]'s silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsQuestion>,
    /// What a bare datagram holds, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// About a connection that outlives its probe; only with a keyed question, and at one
    /// address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// What a probe does with a connection that is held by the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Hold {
    /// Opens it, asks once, and keeps it under this number.
    Open {
        /// Chosen by the runner.
        connection: u64,
    },
    /// Asks on the one that was kept. Silence until the window's end is a timeout; where
    /// there is none of that number, the probe failed.
    Use {
        /// The number that it was opened with.
        connection: u64,
    },
}

impl Script {
    /// True if there is nothing to say but the usual.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// An HTTP request, as far as it isn't what every request is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequest {
    /// The method: `GET`.
    pub method: String,
    /// Path and query: `/healthz?full=1`.
    pub path: String,
    /// What the server is called in place of what was dialled: the `Host` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Headers besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// What the server is called, in place of what was dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether the server's certificate has to be good.
    pub verify: bool,
    /// The authorities that are trusted, as PEM; Mozilla's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A DNS question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsQuestion {
    /// The name as it stands: no search list is tried.
    pub name: String,
    /// `A`, `AAAA`, `SRV` …
    #[serde(rename = "type")]
    pub kind: String,
}

/// Whom a probe dials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// An address.
    Address(IpAddr),
    /// A name, resolved by the agent with its pod's own resolver settings; every
    /// address found is dialled, unless the probe is about one family.
    Name(String),
}

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// True for an address of this family.
    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::Ipv4)
    }
}

/// How a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP handshake, then the question.
    Tcp,
    /// A datagram.
    Udp,
    /// TCP handshake, then an HTTP/1.1 request.
    Http,
    /// SCTP's handshake, then the question.
    Sctp,
    /// An echo request, to port 0. Kernels answer it: who it was is told by the address alone.
    Icmp,
}

/// What a probe says, and so what counts as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Question {
    /// For netproof's own agents: a nonce that only an agent of this run answers.
    Keyed {
        /// 32 hex digits, never used twice.
        nonce: String,
    },
    /// For foreign peers: TCP takes the handshake (and a banner, if one comes), HTTP a
    /// `GET /` for which any response is an answer, UDP to port 53 a DNS question for
    /// the root's name servers; a UDP probe to another port sends an empty-handed
    /// datagram that few servers answer.
    Bare,
}

/// How long and how often a probe tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Milliseconds after the first attempt at which a silent destination counts as
    /// timed out.
    pub window: u32,
    /// Attempts, spread evenly over the window, each from a source port of its own.
    pub attempts: u32,
    /// Milliseconds to wait for the answer once a handshake is done.
    pub reply: u32,
}

impl Default for Timing {
    /// 800 ms, ten attempts, 3 s: at 10 % loss each way fewer than one window in ten
    /// million loses all attempts.
    fn default() -> Self {
        Self { window: 800, attempts: 10, reply: 3_000 }
    }
}

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
    /// How the name was resolved; only for [`Target::Name`].
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
    },
    /// The answer to a scripted datagram.
    Datagram {
        /// Its first 1,024 bytes, in hex.
        payload: String,
    },
    /// The echo of an ICMP request.
    Echo,
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
