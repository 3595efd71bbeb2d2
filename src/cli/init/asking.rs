//! Asks the evaluator, and claims what it says for certain.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    claims::{Claim, Section, To},
    people::{People, Person, protocol_word},
    ports::{OTHERS, Ports, dialled, ends, port_of, with_named_port},
};
use crate::{
    cli::workloads::AskedPort,
    model::{End, NamedPort, Pod, Topology, Traffic},
    policy::{Compiled, Direction, Outcome, PolicySet},
};

/// Where the addresses of a cluster's pods begin: of the private ranges one each, and of
/// those for carriers.
const SOMEWHERE: [(Ipv4Addr, Ipv6Addr); 4] = [
    (Ipv4Addr::new(10, 244, 0, 0), Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0)),
    (Ipv4Addr::new(172, 24, 0, 0), Ipv6Addr::new(0xfd85, 0, 0, 0, 0, 0, 0, 0)),
    (Ipv4Addr::new(192, 168, 128, 0), Ipv6Addr::new(0xfdc0, 0, 0, 0, 0, 0, 0, 0)),
    (Ipv4Addr::new(100, 72, 0, 0), Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0)),
];

/// Who dials whom on which port.
pub(super) type Question = (Person, To, AskedPort);

/// Claims as they are found.
pub(super) struct Asking<'a> {
    set: &'a PolicySet,
    pub(super) people: People,
    /// What is claimed already: no claim is made twice.
    seen: BTreeSet<String>,
}

/// What a rule is about.
pub(super) struct About<'a> {
    pub(super) direction: Direction,
    pub(super) subject: &'a Person,
    pub(super) ports: Ports<'a>,
    /// What becomes of what it matches, by itself.
    pub(super) outcome: Outcome,
}

impl<'a> Asking<'a> {
    pub(super) fn new(set: &'a PolicySet, people: People) -> Self {
        Self { set, people, seen: BTreeSet::new() }
    }

    /// A rule's peer: the first to whom it applies, and the nearest to whom it doesn't.
    pub(super) fn peer(
        &mut self,
        section: &mut Section,
        about: &About<'_>,
        found: &[Person],
        near: impl Fn(&mut People, &Person) -> Vec<Person>,
    ) {
        let About { direction, subject, ports, .. } = *about;
        let other: Vec<&Person> =
            found.iter().filter(|person| !person.is_one_with(subject)).collect();
        let asked: Vec<Question> = other
            .iter()
            .filter_map(|person| {
                let (from, to) = ends(direction, subject, person);
                let to = with_named_port(&to, ports);
                Some((from, dialled(&to, ports)?, port_of(ports, &to)?))
            })
            .collect();
        if asked.is_empty() {
            let why = if found.is_empty() {
                return;
            } else if other.is_empty() {
                "it only speaks of pods like the ones that it is about"
            } else {
                "none of its ports is one that a probe can ask here"
            };
            section.notes.push(why.to_owned());
            return;
        }
        self.itself(section, about, &asked);
        let Some((from, to, port)) = asked.into_iter().next() else { return };
        let person = match (direction, to.person()) {
            (Direction::Egress, Some(to)) => to.clone(),
            _ => from.clone(),
        };
        let mut nearest: Vec<Question> = Vec::new();
        for other in near(&mut self.people, &person) {
            let (from, to) = ends(direction, subject, &other);
            if !from.is_one_with(&to) {
                nearest.push((from, To::Person(to), port));
            }
        }
        nearest.extend(on_other_ports(&from, &to, port));
        // The cluster's DNS has nobody beside it who could be dialled in its place.
        nearest.retain(|(_, to, _)| !matches!(to, To::Dns(_)));
        // What belongs to the cluster itself is the last to be stood beside.
        nearest.sort_by_key(|(from, to, _)| {
            let of_cluster = |person: &Person| person.namespace.starts_with("kube-");
            of_cluster(from) || to.person().is_some_and(of_cluster)
        });
        self.nearest(section, about, nearest);
    }

    /// Claims what a rule says of what it matches. Another policy may have it otherwise; that is
    /// worth a claim as well.
    pub(super) fn itself(&mut self, section: &mut Section, about: &About<'_>, asked: &[Question]) {
        if !self.first(section, asked, about.outcome)
            && !self.first(section, asked, opposite(about.outcome))
        {
            section.notes.push(self.doubt(asked));
        }
    }

    /// Claims the first of these that come out the other way.
    pub(super) fn nearest(
        &mut self,
        section: &mut Section,
        about: &About<'_>,
        nearest: Vec<Question>,
    ) {
        let other = opposite(about.outcome);
        if nearest.is_empty() || self.first(section, &nearest, other) {
            return;
        }
        section.notes.push(match self.decided(&nearest, Outcome::Undetermined) {
            Some((_, why)) => format!("what is near it can't be told beforehand: {why}"),
            None => format!("nothing near it is {other}"),
        });
    }

    /// Claims the first of these of which the policies say this. True also where that was
    /// claimed before.
    pub(super) fn first(
        &mut self,
        section: &mut Section,
        asked: &[Question],
        outcome: Outcome,
    ) -> bool {
        let Some((place, because)) = self.decided(asked, outcome) else { return false };
        let Some((from, to, port)) = asked.get(place).cloned() else { return false };
        let place = |person: &Person| format!("{} {:?}", person.namespace, person.labels);
        let whom = match &to {
            To::Person(person) | To::Dns(person) => place(person),
            To::Address(address) => address.to_string(),
        };
        if self.seen.insert(format!("{} {whom} {port}", place(&from))) {
            let allowed = outcome == Outcome::Allowed;
            section.claims.push(Claim { from, to, port, allowed, because });
        }
        true
    }

    /// The first of these with an outcome, and what decides it.
    fn decided(&self, asked: &[Question], outcome: Outcome) -> Option<(usize, String)> {
        // Which addresses the pods are going to have nobody knows: it has to be so for all.
        let each = SOMEWHERE.map(|pods| self.compiled(asked, pods));
        asked.iter().enumerate().find_map(|(place, (from, to, port))| {
            let mut causes = each.iter().map(|all| {
                let decision = all.decide(&traffic(all, place, from, to, *port)?);
                (decision.outcome == outcome).then(|| all.cause(&decision))
            });
            let first = causes.next()??;
            causes.all(|cause| cause.is_some()).then_some((place, first))
        })
    }

    /// Why the first of these can't be told.
    fn doubt(&self, asked: &[Question]) -> String {
        let all = self.compiled(&asked[..1], SOMEWHERE[0]);
        let Some((from, to, port)) = asked.first() else { return String::new() };
        let cause = traffic(&all, 0, from, to, *port)
            .map(|traffic| all.cause(&all.decide(&traffic)))
            .unwrap_or_default();
        format!("can't be told beforehand: {cause}")
    }

    /// All policies, and both ends of each question, named by its place; `pods` is where the
    /// addresses of pods begin.
    fn compiled(&self, asked: &[Question], pods: (Ipv4Addr, Ipv6Addr)) -> Compiled {
        let (v4, v6) = (pods.0.to_bits(), pods.1.to_bits());
        let mut given = 0;
        let mut with_addresses = |mut pod: Pod| {
            given += 1;
            pod.addresses = vec![
                Ipv4Addr::from_bits(v4 + given).into(),
                Ipv6Addr::from_bits(v6 + u128::from(given)).into(),
            ];
            pod
        };
        let pods = asked.iter().enumerate().flat_map(|(place, (from, to, port))| {
            let source = with_addresses(from.pod(&format!("from-{place}")));
            let Some(person) = to.person() else { return vec![source] };
            let mut destination = with_addresses(person.pod(&format!("to-{place}")));
            if !destination.ports.iter().any(|known| known.number == port.number) {
                destination.ports.push(NamedPort {
                    name: None,
                    number: port.number,
                    protocol: port.protocol,
                });
            }
            vec![source, destination]
        });
        let namespaces = self.people.all_namespaces();
        let topology = Topology::new(namespaces, pods.collect(), Vec::new(), Vec::new());
        Compiled::new(self.set.clone(), topology)
    }
}

fn traffic(
    all: &Compiled,
    place: usize,
    from: &Person,
    to: &To,
    port: AskedPort,
) -> Option<Traffic> {
    let pod = |person: &Person, end: &str| {
        all.topology().pod(&person.namespace, &format!("{end}-{place}")).map(End::Pod)
    };
    let to = match to {
        To::Person(person) | To::Dns(person) => pod(person, "to")?,
        To::Address(address) => End::Address(*address),
    };
    Some(Traffic::new(pod(from, "from")?, to, port.protocol, port.number))
}

/// The same two on the ports that the destination declares, and on some that nobody does.
pub(super) fn on_other_ports(from: &Person, to: &To, port: AskedPort) -> Vec<Question> {
    let declared = to.person().map(|person| &person.ports[..]).unwrap_or_default().iter();
    let declared = declared
        .filter(|port| protocol_word(port.protocol).is_some())
        .map(|port| AskedPort { protocol: port.protocol, number: port.number });
    let other = OTHERS.map(|number| AskedPort { number, ..port });
    declared
        .chain(other)
        .filter(|other| *other != port)
        .map(|port| (from.clone(), to.clone(), port))
        .collect()
}

fn opposite(outcome: Outcome) -> Outcome {
    if outcome == Outcome::Allowed { Outcome::Denied } else { Outcome::Allowed }
}
