//! The ports of a rule: `protocols`, and the older kinds' `ports`.

use serde_json::Value;

use super::{
    super::{
        fields::Findings,
        ports::{PortMatch, read_protocol},
    },
    exactly_one,
};
use crate::model::IpProtocol;

/// An entry of a ClusterNetworkPolicy's `protocols`.
pub(super) fn read_protocols(
    findings: &mut Findings,
    path: &str,
    value: &Value,
) -> Option<PortMatch> {
    let mut object = findings.object(path, value);
    let carriers = [
        ("tcp", IpProtocol::Tcp, object.field("tcp")),
        ("udp", IpProtocol::Udp, object.field("udp")),
        ("sctp", IpProtocol::Sctp, object.field("sctp")),
    ];
    let name = object.field("destinationNamedPort");
    let at_name = object.at("destinationNamedPort");
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let given = carriers.iter().filter(|(_, _, value)| value.is_some()).count();
    exactly_one(findings, path, given + usize::from(name.is_some()));
    if let Some(value) = name {
        return findings.text(&at_name, value).map(|name| PortMatch::Named(None, name.to_owned()));
    }
    let (word, protocol, value) = carriers.into_iter().find(|(_, _, value)| value.is_some())?;
    let at = format!("{path}.{word}");
    let mut object = findings.object(&at, value?);
    let port = object.field("destinationPort");
    let at_port = object.at("destinationPort");
    let broken = object.broken;
    object.finish(findings);
    let Some(port) = port.filter(|_| !broken) else {
        if !broken {
            exactly_one(findings, &at, 0);
        }
        return None;
    };
    let mut object = findings.object(&at_port, port);
    let (number, range) = (object.field("number"), object.field("range"));
    let (at_number, at_range) = (object.at("number"), object.at("range"));
    object.finish(findings);
    exactly_one(findings, &at_port, usize::from(number.is_some()) + usize::from(range.is_some()));
    if let Some(value) = number {
        return Some(PortMatch::one(protocol, read_port(findings, &at_number, value)?));
    }
    let (first, last) = read_range(findings, &at_range, range?, false)?;
    Some(PortMatch::Range(protocol, first, last))
}

/// An entry of the older kinds' `ports`.
pub(super) fn read_ports(findings: &mut Findings, path: &str, value: &Value) -> Option<PortMatch> {
    let mut object = findings.object(path, value);
    let (number, name) = (object.field("portNumber"), object.field("namedPort"));
    let range = object.field("portRange");
    let (at_number, at_name) = (object.at("portNumber"), object.at("namedPort"));
    let at_range = object.at("portRange");
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    exactly_one(findings, path, [number, name, range].iter().flatten().count());
    if let Some(value) = name {
        return findings.text(&at_name, value).map(|name| PortMatch::Named(None, name.to_owned()));
    }
    if let Some(value) = number {
        let mut object = findings.object(&at_number, value);
        let (protocol, port) = (object.field("protocol"), object.field("port"));
        let (at_protocol, at_port) = (object.at("protocol"), object.at("port"));
        object.finish(findings);
        let protocol = carrier(findings, &at_protocol, protocol)?;
        let Some(port) = port else {
            findings.required(&at_port, "");
            return None;
        };
        return Some(PortMatch::one(protocol, read_port(findings, &at_port, port)?));
    }
    let value = range?;
    let protocol = carrier(findings, &format!("{at_range}.protocol"), value.get("protocol"))?;
    let (first, last) = read_range(findings, &at_range, value, true)?;
    Some(PortMatch::Range(protocol, first, last))
}

/// TCP where none is written.
fn carrier(findings: &mut Findings, path: &str, value: Option<&Value>) -> Option<IpProtocol> {
    match value.filter(|value| !value.is_null()) {
        None => Some(IpProtocol::Tcp),
        Some(value) => read_protocol(findings, path, value),
    }
}

fn read_port(findings: &mut Findings, path: &str, value: &Value) -> Option<u16> {
    let number = findings.integer(path, value)?;
    let found = u16::try_from(number).ok().filter(|number| *number > 0);
    if found.is_none() {
        let (side, limit) = if number < 1 { ("greater", 1) } else { ("less", 65_535) };
        let message = format!("{path} in body should be {side} than or equal to {limit}");
        findings.invalid(path, value, &message);
    }
    found
}

fn read_range(
    findings: &mut Findings,
    path: &str,
    value: &Value,
    has_protocol: bool,
) -> Option<(u16, u16)> {
    let mut object = findings.object(path, value);
    if has_protocol {
        object.field("protocol");
    }
    let (start, end) = (object.field("start"), object.field("end"));
    let (at_start, at_end) = (object.at("start"), object.at("end"));
    object.finish(findings);
    let mut read = |path: &str, value: Option<&Value>| match value {
        None => {
            findings.required(path, "");
            None
        }
        Some(value) => read_port(findings, path, value),
    };
    let (first, last) = (read(&at_start, start), read(&at_end, end));
    let (first, last) = (first?, last?);
    if first >= last {
        let message = "Invalid value: \"object\": Start port must be less than End port";
        findings.note(path, message);
    }
    Some((first, last))
}
