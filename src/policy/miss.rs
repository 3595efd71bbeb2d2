//! How near a rule, or a policy, came to matching.

use super::{
    cluster_policy::ClusterPeer,
    compile::{Compiled, PolicyId},
    decision::Direction,
    network_policy::{NetworkPolicy, Peer, Rule},
    ports::PortMatch,
    selector::{Requirement, Selector},
    set::Policy,
};
use crate::model::{End, IpProtocol, Labels, Traffic};

/// A rule or a policy that nearly matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Miss {
    /// How much is missing; less is nearer.
    pub(super) distance: usize,
    /// Where: `spec.ingress[0].from[1]` of a policy.
    pub(super) place: String,
    /// What kept it from matching.
    pub(super) why: String,
    /// What would have to change.
    pub(super) change: String,
}

/// So many are told; the rest says nothing that these don't.
pub(super) const MOST: usize = 3;

/// The nearest misses of some NetworkPolicies that isolate a pod.
pub(super) fn of_rules(
    all: &Compiled,
    isolating: &[PolicyId],
    direction: Direction,
    traffic: &Traffic,
    (pod, other): (&End, &End),
) -> Vec<Miss> {
    let mut misses = Vec::new();
    for id in isolating {
        let Some(Policy::Network(policy)) = all.policy(*id) else { continue };
        for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
            let place = format!(
                "{} of NetworkPolicy {}/{}",
                format_args!("spec.{}[{index}]", direction.field()),
                policy.namespace,
                policy.name
            );
            misses.extend(of_rule(all, policy, rule, &place, direction, traffic, (pod, other)));
        }
    }
    nearest(misses)
}

pub(super) fn nearest(mut misses: Vec<Miss>) -> Vec<Miss> {
    misses.sort();
    misses.truncate(MOST);
    misses
}

fn of_rule(
    all: &Compiled,
    policy: &NetworkPolicy,
    rule: &Rule,
    place: &str,
    direction: Direction,
    traffic: &Traffic,
    (pod, other): (&End, &End),
) -> Vec<Miss> {
    let destination = if direction == Direction::Ingress { pod } else { other };
    let port = port_miss(all, rule.ports.as_deref(), traffic, destination);
    let wanted = wanted_port(traffic);
    let change_port = format!("add {wanted} to the ports of {place}");
    let Some(peers) = &rule.peers else {
        let why = port.map(|why| format!("{place} {why}"));
        let miss = |why| Miss { distance: 1, place: place.to_owned(), why, change: change_port };
        return why.map(miss).into_iter().collect();
    };
    let mut misses = Vec::new();
    for (index, peer) in peers.iter().enumerate() {
        let field = direction.peers();
        let (why, distance) = match (peer, other) {
            (Peer::Pods { namespaces, pods }, End::Pod(other)) => {
                let (unmet, distance) =
                    unmet_peer(all, &policy.namespace, namespaces, pods, *other);
                (unmet.join(" and "), distance)
            }
            (Peer::Pods { .. }, _) => {
                ("selects pods, and never an address outside the cluster".to_owned(), 20)
            }
            (Peer::Block(block), End::Address(address)) if !block.contains(*address) => {
                (format!("holds {block}, and {address} is not in it"), 6)
            }
            (Peer::Block(block), End::Pod(_)) => (format!("holds {block}, and no pods"), 12),
            (Peer::Block(_), _) => (String::new(), 0),
        };
        let (mut parts, mut total) = (Vec::new(), distance);
        if !why.is_empty() {
            parts.push(format!("{field}[{index}] {why}"));
        }
        if let Some(port) = &port {
            parts.push(port.clone());
            total += 2;
        }
        if parts.is_empty() {
            continue;
        }
        let change = if why.is_empty() {
            change_port.clone()
        } else {
            format!("let {field}[{index}] in {place} match {}", all.name_end(other))
        };
        let why = format!("{place}: {}", parts.join("; "));
        misses.push(Miss { distance: total, place: place.to_owned(), why, change });
    }
    misses
}

/// Which of a peer's requirements a pod doesn't meet.
fn unmet_peer(
    all: &Compiled,
    own: &str,
    namespaces: &Option<Selector>,
    pods: &Option<Selector>,
    other: usize,
) -> (Vec<String>, usize) {
    let Some(other) = all.topology().pods().get(other) else { return (Vec::new(), 0) };
    let (mut parts, mut distance) = (Vec::new(), 0);
    let nothing = Labels::new();
    let labels = all.topology().namespaces().get(&other.namespace).unwrap_or(&nothing);
    match namespaces {
        None if other.namespace != own => {
            parts.push(format!("has no namespaceSelector, so it means pods of {own} alone"));
            distance += 3;
        }
        None => {}
        Some(selector) => {
            for (why, far) in unmet(selector, labels) {
                parts.push(format!("of namespace {}: {why}", other.namespace));
                distance += far;
            }
        }
    }
    for (why, far) in pods.iter().flat_map(|selector| unmet(selector, &other.labels)) {
        parts.push(format!("of pod {other}: {why}"));
        distance += far;
    }
    (parts, distance)
}

/// The requirements that labels don't meet, and how far they are from meeting them.
pub(super) fn unmet(selector: &Selector, labels: &Labels) -> Vec<(String, usize)> {
    let unmet = selector.requirements.iter().filter(|requirement| !requirement.matches(labels));
    unmet.map(|requirement| describe(requirement, labels)).collect()
}

/// In how many places two words differ, where that is worth saying.
pub(super) fn places(distance: usize) -> &'static str {
    match distance {
        1 => " in one place",
        2 => " in two places",
        _ => "",
    }
}

fn describe(requirement: &Requirement, labels: &Labels) -> (String, usize) {
    let key = requirement.key();
    match (requirement, labels.get(key)) {
        (Requirement::In(_, values), Some(found)) => {
            let by = values.iter().map(|value| strsim::osa_distance(value, found)).min();
            let by = by.unwrap_or(usize::MAX);
            (format!("label {key}={found} differs from {requirement}{}", places(by)), by.min(4))
        }
        (Requirement::In(..) | Requirement::Exists(_), None) => {
            let similar = labels.keys().find(|other| strsim::osa_distance(other, key) <= 2);
            match similar {
                Some(similar) => {
                    (format!("label {similar} is there, and {requirement} is wanted"), 2)
                }
                None => (format!("label {key} is missing ({requirement} is wanted)"), 4),
            }
        }
        (_, Some(found)) => (format!("label {key}={found} is excluded by {requirement}"), 5),
        (_, None) => (format!("{requirement} does not hold"), 5),
    }
}

/// What keeps a rule's ports from matching, if anything does.
fn port_miss(
    all: &Compiled,
    ports: Option<&[PortMatch]>,
    traffic: &Traffic,
    destination: &End,
) -> Option<String> {
    let ports = ports?;
    let pod = match destination {
        End::Pod(pod) => all.topology().pods().get(*pod),
        End::Address(_) | End::Host(_) => None,
    };
    let number = |protocol: &Option<IpProtocol>, name: &str| {
        let protocol = protocol.unwrap_or(traffic.protocol);
        pod.and_then(|pod| pod.named_port(name, protocol))
    };
    let matches = |port: &PortMatch| match port {
        PortMatch::Range(protocol, first, last) => {
            *protocol == traffic.protocol && (*first..=*last).contains(&traffic.port)
        }
        PortMatch::Named(protocol, name) => {
            protocol.is_none_or(|protocol| protocol == traffic.protocol)
                && number(protocol, name) == Some(traffic.port)
        }
    };
    if ports.iter().any(matches) {
        return None;
    }
    let named: Vec<_> = ports
        .iter()
        .map(|port| match port {
            PortMatch::Named(protocol, name) => match number(protocol, name) {
                Some(number) => format!("{port} ({number} there)"),
                None => format!("{port} (which {} does not have)", all.name_end(destination)),
            },
            PortMatch::Range(..) => port.to_string(),
        })
        .collect();
    Some(format!("its ports are {}, not {}", named.join(", "), wanted_port(traffic)))
}

/// `5432/TCP`, or `ICMP`.
pub(super) fn wanted_port(traffic: &Traffic) -> String {
    match traffic.protocol {
        IpProtocol::Icmp => "ICMP".to_owned(),
        protocol => format!("{}/{protocol}", traffic.port),
    }
}

/// How a cluster policy's peer reads.
pub(super) fn cluster_peer(peer: &ClusterPeer) -> String {
    match peer {
        ClusterPeer::Pods(subject) if subject.pods.is_everything() => {
            format!("namespaces {}", subject.namespaces)
        }
        ClusterPeer::Pods(subject) => {
            format!("pods {} in namespaces {}", subject.pods, subject.namespaces)
        }
        ClusterPeer::Nodes(nodes) => format!("nodes {nodes}"),
        ClusterPeer::Networks(networks) => {
            networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        ClusterPeer::DomainNames(names) => names.join(", "),
        ClusterPeer::Unknown(kind) => format!("a peer that isn't known ({kind})"),
    }
}
