//! Reading the policies of the whole cluster. The older kinds have other words for the
//! same things and are read into the same type.

mod peers;
mod ports;

use serde_json::Value;

use self::{
    peers::read_peer,
    ports::{read_ports, read_protocols},
};
use super::{
    cluster_policy::{Action, ClusterKind, ClusterPeer, ClusterPolicy, ClusterRule, Subject, Tier},
    fields::Findings,
    ports::PortMatch,
    selector,
};

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
