//! Reading the policies of the whole cluster. The older kinds have other words for the
//! same things and are read into the same type.

use serde_json::Value;

use super::{
    cluster_policy::{Action, ClusterKind, ClusterPeer, ClusterPolicy, ClusterRule, Subject, Tier},
    fields::{Findings, Origin},
    names::is_domain_name,
    ports::{PortMatch, read_protocol},
    selector,
};
use crate::model::IpProtocol;

/// What differs between the kinds.
struct Shape {
    kind: ClusterKind,
    /// How its `ports` field is called.
    ports: &'static str,
    actions: &'static [(&'static str, Action)],
    most_rules: usize,
    most_peers: usize,
}

fn shape(kind: ClusterKind) -> Shape {
    use Action::{Accept, Deny, Pass};
    match kind {
        ClusterKind::ClusterNetworkPolicy => Shape {
            kind,
            ports: "protocols",
            actions: &[("Accept", Accept), ("Deny", Deny), ("Pass", Pass)],
            most_rules: 25,
            most_peers: 25,
        },
        ClusterKind::AdminNetworkPolicy => Shape {
            kind,
            ports: "ports",
            actions: &[("Allow", Accept), ("Deny", Deny), ("Pass", Pass)],
            most_rules: 100,
            most_peers: 100,
        },
        ClusterKind::BaselineAdminNetworkPolicy => Shape {
            kind,
            ports: "ports",
            actions: &[("Allow", Accept), ("Deny", Deny)],
            most_rules: 100,
            most_peers: 100,
        },
    }
}

/// Reads the `spec` of one.
pub(super) fn read(
    findings: &mut Findings,
    kind: ClusterKind,
    name: &str,
    spec: &Value,
) -> ClusterPolicy {
    let shape = shape(kind);
    let mut object = findings.object("spec", spec);
    let (tier, priority) = match kind {
        ClusterKind::ClusterNetworkPolicy => {
            (read_tier(findings, object.field("tier")), object.field("priority"))
        }
        ClusterKind::AdminNetworkPolicy => (Tier::Admin, object.field("priority")),
        ClusterKind::BaselineAdminNetworkPolicy => (Tier::Baseline, None),
    };
    let priority = match kind {
        ClusterKind::BaselineAdminNetworkPolicy => 1000,
        _ => read_priority(findings, priority),
    };
    let subject = object.field("subject");
    let (ingress, egress) = (object.field("ingress"), object.field("egress"));
    object.finish(findings);
    if kind == ClusterKind::BaselineAdminNetworkPolicy && name != "default" {
        let message = "Only one baseline admin network policy with metadata.name=\"default\" can \
                       be created in the cluster";
        findings.invalid("metadata.name", &name.into(), message);
    }
    let nothing = Subject { namespaces: Default::default(), pods: Default::default() };
    let subject = match subject {
        None => {
            findings.required("spec.subject", "");
            nothing
        }
        Some(value) => read_subject(findings, value).unwrap_or(nothing),
    };
    ClusterPolicy {
        kind,
        name: name.to_owned(),
        tier,
        priority,
        subject,
        ingress: read_rules(findings, &shape, "spec.ingress", "from", ingress),
        egress: read_rules(findings, &shape, "spec.egress", "to", egress),
    }
}

fn read_tier(findings: &mut Findings, value: Option<&Value>) -> Tier {
    match value {
        None => findings.required("spec.tier", ""),
        Some(value) => match value.as_str() {
            Some("Admin") => return Tier::Admin,
            Some("Baseline") => return Tier::Baseline,
            _ => findings.unsupported("spec.tier", value, &["Admin", "Baseline"]),
        },
    }
    Tier::Admin
}

fn read_priority(findings: &mut Findings, value: Option<&Value>) -> u16 {
    let Some(value) = value else {
        findings.required("spec.priority", "");
        return 0;
    };
    let Some(number) = findings.integer("spec.priority", value) else { return 0 };
    if !(0..=1000).contains(&number) {
        let (side, limit) = if number < 0 { ("greater", 0) } else { ("less", 1000) };
        let message = format!("spec.priority in body should be {side} than or equal to {limit}");
        findings.invalid("spec.priority", value, &message);
    }
    u16::try_from(number).unwrap_or(0)
}

fn read_subject(findings: &mut Findings, value: &Value) -> Option<Subject> {
    let mut object = findings.object("spec.subject", value);
    let (namespaces, pods) = (object.field("namespaces"), object.field("pods"));
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    exactly_one(
        findings,
        "spec.subject",
        usize::from(namespaces.is_some()) + usize::from(pods.is_some()),
    );
    match (namespaces, pods) {
        (Some(value), _) => Some(Subject {
            namespaces: selector::read(findings, "spec.subject.namespaces", value),
            pods: Default::default(),
        }),
        (None, Some(value)) => Some(read_pods(findings, "spec.subject.pods", value)),
        (None, None) => None,
    }
}

/// `namespaceSelector` may be left out for all namespaces; `podSelector` may not.
fn read_pods(findings: &mut Findings, path: &str, value: &Value) -> Subject {
    let mut object = findings.object(path, value);
    let (namespaces, pods) = (object.field("namespaceSelector"), object.field("podSelector"));
    let (at_namespaces, at_pods) = (object.at("namespaceSelector"), object.at("podSelector"));
    let broken = object.broken;
    object.finish(findings);
    if pods.is_none() && !broken {
        findings.required(&at_pods, "");
    }
    let mut read = |path: &str, value: Option<&Value>| {
        value.map_or_else(Default::default, |value| selector::read(findings, path, value))
    };
    Subject { namespaces: read(&at_namespaces, namespaces), pods: read(&at_pods, pods) }
}

fn exactly_one(findings: &mut Findings, path: &str, found: usize) {
    if found > 1 {
        let message = format!("Too many: {found}: must have at most 1 item");
        findings.note(path, message);
    } else if found == 0 {
        let message = format!("Invalid value: 0: {path} in body should have at least 1 properties");
        findings.note(path, message);
    }
}

fn at_most(findings: &mut Findings, path: &str, found: usize, most: usize) {
    if found > most {
        findings.note(path, format!("Too many: {found}: must have at most {most} items"));
    }
}

fn at_least_one(findings: &mut Findings, path: &str, found: usize) {
    if found == 0 {
        let message = format!("Invalid value: 0: {path} in body should have at least 1 items");
        findings.note(path, message);
    }
}

fn read_rules(
    findings: &mut Findings,
    shape: &Shape,
    path: &str,
    peers: &'static str,
    value: Option<&Value>,
) -> Vec<ClusterRule> {
    let Some(value) = value else { return Vec::new() };
    let items = findings.list(path, value);
    at_most(findings, path, items.len(), shape.most_rules);
    let read = |(index, item)| read_rule(findings, shape, &format!("{path}[{index}]"), peers, item);
    items.iter().enumerate().filter_map(read).collect()
}

fn read_rule(
    findings: &mut Findings,
    shape: &Shape,
    path: &str,
    peers: &'static str,
    value: &Value,
) -> Option<ClusterRule> {
    let mut object = findings.object(path, value);
    let (name, action) = (object.field("name"), object.field("action"));
    let (peer_list, ports) = (object.field(peers), object.field(shape.ports));
    let (at_name, at_action) = (object.at("name"), object.at("action"));
    let (at_peers, at_ports) = (object.at(peers), object.at(shape.ports));
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let name = name.and_then(|value| findings.text(&at_name, value)).map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.chars().count() > 100) {
        findings.note(&at_name, "Too long: may not be more than 100 bytes");
    }
    let action = match action {
        None => {
            findings.required(&at_action, "");
            None
        }
        Some(value) => {
            let known = shape.actions.iter().find(|(word, _)| value == word);
            if known.is_none() {
                let words: Vec<_> = shape.actions.iter().map(|(word, _)| *word).collect();
                findings.unsupported(&at_action, value, &words);
            }
            known.map(|(_, action)| *action)
        }
    };
    let items = peer_list.map_or(&[][..], |value| findings.list(&at_peers, value));
    if peer_list.is_none() {
        findings.required(&at_peers, "");
    } else {
        at_least_one(findings, &at_peers, items.len());
        at_most(findings, &at_peers, items.len(), shape.most_peers);
    }
    let egress = peers == "to";
    let read = |(index, item)| read_peer(findings, &format!("{at_peers}[{index}]"), egress, item);
    let peers: Vec<_> = items.iter().enumerate().filter_map(read).collect();
    let ports = ports.map(|value| {
        let items = findings.list(&at_ports, value);
        at_least_one(findings, &at_ports, items.len());
        at_most(findings, &at_ports, items.len(), shape.most_peers);
        let read = |(index, item)| {
            let path = format!("{at_ports}[{index}]");
            match shape.kind {
                ClusterKind::ClusterNetworkPolicy => read_protocols(findings, &path, item),
                _ => read_ports(findings, &path, item),
            }
        };
        items.iter().enumerate().filter_map(read).collect::<Vec<_>>()
    });
    let foreign =
        |peer: &ClusterPeer| !matches!(peer, ClusterPeer::Pods(_) | ClusterPeer::Unknown(_));
    let named = |port: &PortMatch| matches!(port, PortMatch::Named(..));
    if peers.iter().any(foreign) && ports.iter().flatten().any(named) {
        let message = "networks/nodes/domainNames peer cannot be set with namedPorts since there \
                       are no namedPorts for networks/nodes/domainNames";
        findings.note(path, format!("Invalid value: \"object\": {message}"));
    }
    Some(ClusterRule { name, action: action?, peers, ports })
}

fn read_peer(
    findings: &mut Findings,
    path: &str,
    egress: bool,
    value: &Value,
) -> Option<ClusterPeer> {
    let mut object = findings.object(path, value);
    let (namespaces, pods) = (object.field("namespaces"), object.field("pods"));
    let (mut nodes, mut networks, mut domains) = (None, None, None);
    if egress {
        nodes = object.field("nodes");
        networks = object.field("networks");
        domains = object.field("domainNames");
    }
    if object.broken {
        return None;
    }
    let known = [namespaces, pods, nodes, networks, domains].iter().flatten().count();
    let unknown = object.unknown();
    match (known, &unknown[..]) {
        // One peer, of a kind that came after this was written.
        (0, [kind]) => return Some(ClusterPeer::Unknown((*kind).to_owned())),
        // The API server has dropped what it didn't know when the object was stored.
        (0, []) if findings.origin == Origin::Stored => {
            return Some(ClusterPeer::Unknown("nothing".to_owned()));
        }
        (found, rest) => exactly_one(findings, path, found + rest.len()),
    }
    let at = |field: &str| format!("{path}.{field}");
    if let Some(value) = namespaces {
        let namespaces = selector::read(findings, &at("namespaces"), value);
        return Some(ClusterPeer::Pods(Subject { namespaces, pods: Default::default() }));
    }
    if let Some(value) = pods {
        return Some(ClusterPeer::Pods(read_pods(findings, &at("pods"), value)));
    }
    if let Some(value) = nodes {
        return Some(ClusterPeer::Nodes(selector::read(findings, &at("nodes"), value)));
    }
    if let Some(value) = networks {
        return Some(ClusterPeer::Networks(read_networks(findings, &at("networks"), value)));
    }
    domains.map(|value| ClusterPeer::DomainNames(read_domains(findings, &at("domainNames"), value)))
}

fn read_networks(findings: &mut Findings, path: &str, value: &Value) -> Vec<ipnet::IpNet> {
    let items = findings.list(path, value);
    at_least_one(findings, path, items.len());
    at_most(findings, path, items.len(), 25);
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        // Host bits are no mistake to the CRD's `isCIDR`.
        let Some(text) = findings.text(&path, item) else { continue };
        match text.parse::<ipnet::IpNet>() {
            Ok(block) => found.push(block.trunc()),
            Err(_) => findings.invalid(&path, item, "Invalid CIDR format provided"),
        }
        if items[..index].contains(item) {
            findings.note(&path, format!("Duplicate value: {item}"));
        }
    }
    found
}

fn read_domains(findings: &mut Findings, path: &str, value: &Value) -> Vec<String> {
    let items = findings.list(path, value);
    at_least_one(findings, path, items.len());
    at_most(findings, path, items.len(), 25);
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(text) = findings.text(&path, item) else { continue };
        if !is_domain_name(text) {
            let message = "must be a domain name, or `*.` and one (e.g. 'example.com' or \
                           '*.example.com')";
            findings.invalid(&path, item, message);
        }
        found.push(text.to_owned());
    }
    found
}

/// An entry of a ClusterNetworkPolicy's `protocols`.
fn read_protocols(findings: &mut Findings, path: &str, value: &Value) -> Option<PortMatch> {
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
fn read_ports(findings: &mut Findings, path: &str, value: &Value) -> Option<PortMatch> {
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

#[cfg(test)]
mod tests {
    use super::super::block;

    #[test]
    fn the_readers_of_addresses_are_two_because_the_api_servers_are() {
        // `ipBlock` refuses host bits, `networks` doesn't: see `read_networks`.
        let mut findings = super::Findings::new("a policy".into(), super::Origin::Manifest);
        let value = serde_json::json!(["10.0.0.1/8"]);
        assert!(block::read_cidr(&mut findings, "cidr", &value[0]).is_none(), "refused");
        assert_eq!(super::read_networks(&mut findings, "networks", &value).len(), 1, "taken");
        assert_eq!(findings.mistakes.len(), 1, "{:?}", findings.mistakes);
    }
}
