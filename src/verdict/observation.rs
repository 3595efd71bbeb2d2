//! What a probe saw of one address, in the judge's words.

use std::{fmt, net::SocketAddr};

use netproof_probe::wire::{Answer, Outcome, Truncated};
use serde::{Deserialize, Serialize};

/// What a probe saw. It says nothing about policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Observation {
    /// The agent or its session failed; nothing was seen.
    AgentFailed {
        /// Stage and object.
        message: String,
    },
    /// The name was not resolved; nothing was dialled.
    NotResolved {
        /// What the resolver said.
        message: String,
    },
    /// The destination could not be named: a Service without endpoints, without that
    /// port, a pod without an address.
    NoDestination {
        /// What is missing.
        message: String,
    },
    /// There was no connection to use: it could not be opened before the change.
    NotEstablished {
        /// Why.
        message: String,
    },
    /// The destination has no address of the family that is asked about, or the source's pod
    /// can't speak the protocol.
    NotThere {
        /// What is missing.
        message: String,
    },
    /// A pod isn't what the plan says: somebody relabelled it, added a container.
    NotAsPlanned {
        /// Pod and difference.
        message: String,
    },
    /// A handshake was completed, or a datagram answered.
    Connected {
        /// By whom.
        by: AnsweredBy,
    },
    /// RST in answer to a SYN, or ICMP port unreachable.
    Refused,
    /// Nothing came back before the window's end.
    TimedOut,
    /// ICMP administratively prohibited.
    Prohibited {
        /// ICMP type and code.
        code: String,
    },
    /// ICMP host or network unreachable, or no local route.
    NoRoute {
        /// What the kernel said.
        message: String,
    },
    /// Reset after the handshake.
    Reset,
    /// The source's own kernel refused.
    LocalError {
        /// What it said.
        message: String,
    },
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum AnsweredBy {
    /// An agent of this run.
    Agent {
        /// The identity that it answered with.
        identity: String,
        /// The address that it saw the question come from.
        saw: SocketAddr,
    },
    /// Some application.
    Application {
        /// HTTP status, for HTTP.
        status: Option<u16>,
        /// The reply, for people.
        summary: String,
    },
    /// Nobody spoke after the handshake.
    Nobody,
    /// An application that agreed on TLS, and was asked nothing else.
    Tls {
        /// TLS's version.
        version: String,
    },
    /// An application with which no TLS came about.
    TlsFailed {
        /// What was wrong.
        message: String,
    },
    /// A name server.
    Dns {
        /// The response code's mnemonic.
        code: String,
        /// The data of the records of the type asked for.
        records: Vec<String>,
        /// What came of asking again over TCP, where UDP brought only a part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncated: Option<Truncated>,
    },
    /// An application, to a datagram of the case's own.
    Datagram {
        /// The answer's first bytes, in hex.
        payload: String,
    },
    /// The address itself, by an ICMP echo.
    Echo,
}

impl From<&Outcome> for Observation {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Connected { answer } => Self::Connected {
                by: match answer {
                    Answer::Agent { identity, saw } => {
                        AnsweredBy::Agent { identity: identity.clone(), saw: *saw }
                    }
                    Answer::Application { status, summary } => {
                        AnsweredBy::Application { status: *status, summary: summary.clone() }
                    }
                    Answer::HandshakeOnly => AnsweredBy::Nobody,
                    Answer::Tls { version } => AnsweredBy::Tls { version: version.clone() },
                    Answer::TlsFailed { message } => {
                        AnsweredBy::TlsFailed { message: message.clone() }
                    }
                    Answer::Dns { code, records, truncated } => AnsweredBy::Dns {
                        code: code.clone(),
                        records: records.clone(),
                        truncated: truncated.clone(),
                    },
                    Answer::Datagram { payload } => {
                        AnsweredBy::Datagram { payload: payload.clone() }
                    }
                    Answer::Echo => AnsweredBy::Echo,
                },
            },
            Outcome::Refused => Self::Refused,
            Outcome::Prohibited { code } => Self::Prohibited { code: code.clone() },
            Outcome::NoRoute { message } => Self::NoRoute { message: message.clone() },
            Outcome::Reset => Self::Reset,
            Outcome::Failed { message } => Self::LocalError { message: message.clone() },
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Unsupported { message } => Self::NotThere { message: message.clone() },
        }
    }
}

impl AnsweredBy {
    /// What was said, for people.
    pub fn told(&self) -> String {
        match self {
            Self::Agent { identity, .. } => format!("the agent {identity}"),
            Self::Application { status: Some(status), .. } => format!("HTTP {status}"),
            Self::Application { summary, .. } => summary.clone(),
            Self::Nobody => "nothing".to_owned(),
            Self::Tls { version } => version.clone(),
            Self::TlsFailed { message } => format!("no TLS: {message}"),
            Self::Dns { code, records, truncated } => {
                let colon = if records.is_empty() { "" } else { ": " };
                let how = match truncated {
                    None => String::new(),
                    Some(Truncated::OverTcp) => ", over TCP, for UDP had cut it short".to_owned(),
                    Some(Truncated::NoTcp { message }) => {
                        format!(", cut short over UDP, and over TCP: {message}")
                    }
                };
                format!("DNS {code}{colon}{}{how}", records.join(", "))
            }
            Self::Datagram { payload } => match netproof_probe::wire::hex::decode(payload) {
                Some(bytes) if !bytes.is_empty() => bytes.escape_ascii().to_string(),
                _ => "an empty datagram".to_owned(),
            },
            Self::Echo => "an ICMP echo".to_owned(),
        }
    }
}

impl fmt::Display for AnsweredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { identity, .. } => f.write_str(identity),
            Self::Application { status: Some(status), .. } => {
                write!(f, "an application (HTTP {status})")
            }
            Self::Application { summary, .. } => write!(f, "an application ({summary})"),
            Self::Nobody => f.write_str("nobody (handshake only)"),
            Self::Echo => f.write_str("an ICMP echo"),
            Self::Dns { .. } => write!(f, "a name server ({})", self.told()),
            Self::Tls { .. } | Self::TlsFailed { .. } | Self::Datagram { .. } => {
                write!(f, "an application ({})", self.told())
            }
        }
    }
}

impl fmt::Display for Observation {
    /// The sighting in a table's cell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentFailed { .. } => f.write_str("agent unreachable"),
            Self::NotResolved { .. } => f.write_str("not resolved"),
            Self::NoDestination { .. } => f.write_str("no destination"),
            Self::NotEstablished { .. } => f.write_str("not established"),
            Self::NotThere { .. } => f.write_str("not there"),
            Self::NotAsPlanned { .. } => f.write_str("pod changed"),
            Self::Connected { by: AnsweredBy::Nobody } => f.write_str("handshake only"),
            Self::Connected { .. } => f.write_str("connected"),
            Self::Refused => f.write_str("refused"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Prohibited { .. } => f.write_str("prohibited"),
            Self::NoRoute { .. } => f.write_str("no route"),
            Self::Reset => f.write_str("reset"),
            Self::LocalError { .. } => f.write_str("local error"),
        }
    }
}
