//! What is asked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
