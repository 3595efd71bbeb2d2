//! Which ports a rule is about.

use std::fmt;

use serde_json::Value;

use super::{fields::Findings, names::port_name_error};
use crate::model::IpProtocol;

/// What the API server says of a number that is no port.
pub(super) const RANGE: &str = "must be between 1 and 65535, inclusive";

/// One entry of a rule's ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortMatch {
    /// From the first to the last, both included.
    Range(IpProtocol, u16, u16),
    /// The port that the destination pod calls so, for a protocol or for any.
    Named(Option<IpProtocol>, String),
}

impl PortMatch {
    /// Every port of a protocol.
    pub fn all(protocol: IpProtocol) -> Self {
        Self::Range(protocol, 1, u16::MAX)
    }

    /// One port.
    pub fn one(protocol: IpProtocol, number: u16) -> Self {
        Self::Range(protocol, number, number)
    }
}

impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(protocol, 1, u16::MAX) => write!(f, "any {protocol} port"),
            Self::Range(protocol, first, last) if first == last => write!(f, "{first}/{protocol}"),
            Self::Range(protocol, first, last) => write!(f, "{first}-{last}/{protocol}"),
            Self::Named(Some(protocol), name) => write!(f, "{name}/{protocol}"),
            Self::Named(None, name) => f.write_str(name),
        }
    }
}

/// Reads an entry of a NetworkPolicy's `ports`.
pub(super) fn read(findings: &mut Findings, path: &str, value: &Value) -> Option<PortMatch> {
    let mut object = findings.object(path, value);
    let (protocol, port) = (object.field("protocol"), object.field("port"));
    let end = object.field("endPort");
    let (at_protocol, at_port) = (object.at("protocol"), object.at("port"));
    let at_end = object.at("endPort");
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let protocol = match protocol {
        None => Some(IpProtocol::Tcp),
        Some(value) => read_protocol(findings, &at_protocol, value),
    };
    let last = match end {
        None => None,
        Some(value) => Some((findings.integer(&at_end, value)?, value)),
    };
    let is_port = |number: i64| (1..=65_535).contains(&number);
    match port {
        None => {
            if last.is_some() {
                findings.required(&at_port, "must be specified when `endPort` is specified");
                return None;
            }
            Some(PortMatch::all(protocol?))
        }
        Some(Value::String(name)) => {
            if let Some((_, value)) = last {
                let message = "may not be specified when `port` is non-numeric";
                findings.invalid(&at_end, value, message);
            }
            if let Some(message) = port_name_error(name) {
                findings.invalid(&at_port, &name.as_str().into(), message);
                return None;
            }
            Some(PortMatch::Named(Some(protocol?), name.clone()))
        }
        Some(value) => {
            let Some(first) = value.as_i64() else {
                findings.kind(&at_port, value, "integer or string");
                return None;
            };
            if !is_port(first) {
                findings.invalid(&at_port, value, RANGE);
            }
            if let Some((last, value)) = last {
                if last < first {
                    findings.invalid(&at_end, value, "must be greater than or equal to `port`");
                }
                if !is_port(last) {
                    findings.invalid(&at_end, value, RANGE);
                }
            }
            let last = last.map_or(first, |(last, _)| last);
            let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
            Some(PortMatch::Range(protocol?, first, last))
        }
    }
}

/// Reads a protocol as the API spells it.
pub(super) fn read_protocol(
    findings: &mut Findings,
    path: &str,
    value: &Value,
) -> Option<IpProtocol> {
    let text = findings.text(path, value)?;
    let found = IpProtocol::WITH_PORTS.into_iter().find(|known| known.name() == text);
    if found.is_none() {
        findings.unsupported(path, value, &["SCTP", "TCP", "UDP"]);
    }
    found
}
