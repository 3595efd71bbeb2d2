//! On which port somebody is asked, by a rule's ports and by what is declared.

use super::{
    claims::To,
    people::{Person, protocol_word},
};
use crate::{
    cli::workloads::AskedPort,
    model::{IpProtocol, NamedPort},
    policy::{Direction, PortMatch},
};

/// The port that is asked where a rule names none and the destination declares none.
const USUAL: AskedPort = AskedPort { protocol: IpProtocol::Tcp, number: 8080 };
/// Ports of which no rule is likely to speak, for the nearest connection that is none of it.
pub(super) const OTHERS: [u16; 3] = [9999, 4, 61_000];
/// The cluster's DNS, which is asked as what it is: a Service.
const DNS: (&str, &str, u16) = ("kube-system", "kube-dns", 53);

/// A rule's ports; all, where it names none.
pub(super) type Ports<'a> = Option<&'a [PortMatch]>;

/// Source and destination, by the direction in which the subject's policy looks.
pub(super) fn ends(direction: Direction, subject: &Person, other: &Person) -> (Person, Person) {
    match direction {
        Direction::Ingress => (other.clone(), subject.clone()),
        Direction::Egress => (subject.clone(), other.clone()),
    }
}

/// The destination: itself, or the Service in front of the cluster's DNS. In `kube-system`
/// nothing else is stood in for.
pub(super) fn dialled(to: &Person, ports: Ports<'_>) -> Option<To> {
    if to.namespace != DNS.0 {
        return Some(To::Person(to.clone()));
    }
    let is_dns = to.labels.get("k8s-app").is_none_or(|app| app == DNS.1);
    let by_port = ports.is_none_or(|ports| ports.iter().any(|port| holds(port, DNS.2)));
    let mut person = to.clone();
    person.labels.insert("k8s-app".to_owned(), DNS.1.to_owned());
    (is_dns && by_port).then_some(To::Dns(person))
}

fn holds(port: &PortMatch, number: u16) -> bool {
    matches!(port, PortMatch::Range(_, first, last) if (*first..=*last).contains(&number))
}

/// The same with the port that a rule calls by a name, where nobody says what that is.
pub(super) fn with_named_port(to: &Person, ports: Ports<'_>) -> Person {
    let mut to = to.clone();
    let first = ports.and_then(|ports| ports.first());
    if let Some(PortMatch::Named(protocol, name)) = first
        && to.ports.is_empty()
    {
        let protocol = protocol.unwrap_or(IpProtocol::Tcp);
        to.ports.push(NamedPort { name: Some(name.clone()), number: USUAL.number, protocol });
    }
    to
}

/// The first port of a rule that the destination can be asked on.
pub(super) fn port_of(ports: Ports<'_>, to: &Person) -> Option<AskedPort> {
    let Some(ports) = ports else { return Some(first_port(to)) };
    ports.iter().find_map(|port| match port {
        PortMatch::Range(protocol, first, last) => {
            protocol_word(*protocol)?;
            let declared = to.ports.iter().find(|known| {
                known.protocol == *protocol && (*first..=*last).contains(&known.number)
            });
            let number = declared.map_or(*first, |known| known.number);
            Some(AskedPort { protocol: *protocol, number })
        }
        PortMatch::Named(protocol, name) => to.ports.iter().find_map(|known| {
            let is_it = known.name.as_deref() == Some(name)
                && protocol.is_none_or(|protocol| protocol == known.protocol);
            protocol_word(known.protocol)?;
            is_it.then_some(AskedPort { protocol: known.protocol, number: known.number })
        }),
    })
}

/// The first port that somebody declares, or the usual one.
pub(super) fn first_port(person: &Person) -> AskedPort {
    if person.namespace == DNS.0 {
        return AskedPort { protocol: IpProtocol::Udp, number: DNS.2 };
    }
    let declared = person.ports.iter().find(|port| protocol_word(port.protocol).is_some());
    declared.map_or(USUAL, |port| AskedPort { protocol: port.protocol, number: port.number })
}
