//! Which claims a policy's rules call for: what each lets through, and the nearest that it
//! doesn't. What is expected is the evaluator's word, for all policies together.

use std::collections::BTreeSet;

use super::people::{People, Person, protocol_word};
use crate::{
    cli::workloads::AskedPort,
    model::{End, IpProtocol, NamedPort, Topology, Traffic},
    policy::{
        Compiled, Direction, IpBlock, NetworkPolicy, Outcome, Peer, Policy, PolicySet, PortMatch,
        Rule,
    },
};

/// The port that is asked where a rule names none and the destination declares none.
const USUAL: AskedPort = AskedPort { protocol: IpProtocol::Tcp, number: 8080 };
/// Ports of which no rule is likely to speak, for the nearest connection that is none of it.
const OTHERS: [u16; 3] = [9999, 4, 61_000];
/// The cluster's DNS, which is asked as what it is: a Service.
const DNS: (&str, &str, u16) = ("kube-system", "kube-dns", 53);

/// Everything that the suite is written from.
pub(super) struct Found {
    pub(super) people: People,
    pub(super) sections: Vec<Section>,
}

/// What one rule calls for.
pub(super) struct Section {
    /// `NetworkPolicy shop/db, spec.ingress[0]`.
    pub(super) title: String,
    pub(super) claims: Vec<Claim>,
    /// What can't be claimed, and why.
    pub(super) notes: Vec<String>,
}

/// One claim.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) from: Person,
    pub(super) to: To,
    pub(super) port: AskedPort,
    pub(super) allowed: bool,
    pub(super) because: String,
}

/// Who is dialled.
#[derive(Clone)]
pub(super) enum To {
    Person(Person),
    /// The cluster's DNS; the person stands for its pods where the evaluator is asked.
    Dns(Person),
}

impl To {
    pub(super) fn person(&self) -> &Person {
        match self {
            Self::Person(person) | Self::Dns(person) => person,
        }
    }
}

/// The claims for these policies, all of `set` being in force.
pub(super) fn claims(set: &PolicySet, wanted: &[&Policy], people: People) -> Found {
    let mut asking = Asking { set, people, seen: BTreeSet::new() };
    let mut sections = Vec::new();
    for policy in wanted {
        let Policy::Network(policy) = policy else { continue };
        for direction in [Direction::Ingress, Direction::Egress] {
            let Some(rules) = policy.rules(direction) else { continue };
            let title = format!("NetworkPolicy {}/{}", policy.namespace, policy.name);
            if rules.is_empty() {
                let title = format!("{title}, isolated for {direction} without any rule");
                sections.push(asking.isolated(policy, direction, title));
            }
            for (index, rule) in rules.iter().enumerate() {
                let title = format!("{title}, spec.{direction}[{index}]");
                sections.push(asking.rule(policy, direction, rule, title));
            }
        }
    }
    Found { people: asking.people, sections }
}

struct Asking<'a> {
    set: &'a PolicySet,
    people: People,
    /// What is claimed already: no claim is made twice.
    seen: BTreeSet<String>,
}

impl Asking<'_> {
    /// A policy without rules in a direction: whoever dials is kept out.
    fn isolated(&mut self, policy: &NetworkPolicy, direction: Direction, title: String) -> Section {
        let mut section = Section { title, claims: Vec::new(), notes: Vec::new() };
        let Some(subject) = self.people.selected(&policy.namespace, &policy.pod_selector) else {
            section.notes.push("no labels fit its podSelector".to_owned());
            return section;
        };
        let workloads = self.people.workloads.iter();
        let mut others: Vec<Person> = workloads
            .filter(|other| other.namespace == policy.namespace && !other.is_one_with(&subject))
            .cloned()
            .collect();
        others.push(self.people.stranger());
        let candidates = others.into_iter().map(|other| ends(direction, &subject, &other));
        let asked: Vec<_> =
            candidates.map(|(from, to)| (from, To::Person(to.clone()), first_port(&to))).collect();
        if !self.first(&mut section, asked, Outcome::Denied) {
            section.notes.push("another policy opens what this one closes".to_owned());
        }
        section
    }

    /// A rule: its allow, and its nearest deny.
    fn rule(
        &mut self,
        policy: &NetworkPolicy,
        direction: Direction,
        rule: &Rule,
        title: String,
    ) -> Section {
        let mut section = Section { title, claims: Vec::new(), notes: Vec::new() };
        let Some(subject) = self.people.selected(&policy.namespace, &policy.pod_selector) else {
            section.notes.push("no labels fit its podSelector".to_owned());
            return section;
        };
        let Some(peers) = &rule.peers else {
            let stranger = self.people.stranger();
            self.peer(&mut section, rule, direction, &subject, &[stranger], |_, _| Vec::new());
            return section;
        };
        for peer in peers {
            let (namespaces, pods) = match peer {
                Peer::Pods { namespaces, pods } => (namespaces.as_ref(), pods.as_ref()),
                Peer::Block(block) => {
                    section.notes.push(about_block(block, direction));
                    continue;
                }
            };
            let found = self.people.peers(&policy.namespace, namespaces, pods);
            if found.is_empty() {
                section.notes.push("no labels fit one of its peers".to_owned());
            }
            let near = |people: &mut People, person: &Person| people.near(person, namespaces, pods);
            self.peer(&mut section, rule, direction, &subject, &found, near);
        }
        section
    }

    /// A rule's peer: the first who is let through, and the nearest who isn't.
    fn peer(
        &mut self,
        section: &mut Section,
        rule: &Rule,
        direction: Direction,
        subject: &Person,
        found: &[Person],
        near: impl Fn(&mut People, &Person) -> Vec<Person>,
    ) {
        let other: Vec<&Person> =
            found.iter().filter(|person| !person.is_one_with(subject)).collect();
        let pairs: Vec<(Person, Person)> =
            other.iter().map(|person| ends(direction, subject, person)).collect();
        let asked: Vec<_> = pairs
            .iter()
            .filter_map(|(from, to)| {
                let to = with_named_port(to, rule);
                Some((from.clone(), dialled(&to, rule)?, port_of(rule, &to)?))
            })
            .collect();
        if asked.is_empty() {
            let why = if found.is_empty() {
                return;
            } else if other.is_empty() {
                "it only allows pods like the ones that it protects"
            } else {
                "none of its ports is one that a probe can ask here"
            };
            section.notes.push(why.to_owned());
            return;
        }
        if !self.first(section, asked.clone(), Outcome::Allowed) {
            // Another policy closes what this rule opens; that is worth a claim as well.
            let other_side = asked.clone();
            if !self.first(section, other_side, Outcome::Denied) {
                section.notes.push(self.doubt(&asked));
            }
        }
        let Some((from, to, port)) = asked.into_iter().next() else { return };
        let person = if direction == Direction::Ingress { &from } else { to.person() };
        let mut nearest: Vec<(Person, To, AskedPort)> = Vec::new();
        for other in near(&mut self.people, person) {
            let (from, to) = ends(direction, subject, &other);
            if !from.is_one_with(&to) {
                nearest.push((from, To::Person(to), port));
            }
        }
        if !matches!(to, To::Dns(_)) {
            let declared = to.person().ports.iter();
            let declared =
                declared.map(|port| AskedPort { protocol: port.protocol, number: port.number });
            let other = OTHERS.map(|number| AskedPort { number, ..port });
            let ports =
                declared.filter(|other| protocol_word(other.protocol).is_some()).chain(other);
            nearest.extend(ports.map(|port| (from.clone(), to.clone(), port)));
        }
        // The cluster's DNS has nobody beside it who could be dialled in its place.
        nearest.retain(|(_, to, _)| !matches!(to, To::Dns(_)));
        // What belongs to the cluster itself is the last to be stood beside.
        nearest.sort_by_key(|(from, to, _)| {
            [from, to.person()].iter().any(|person| person.namespace.starts_with("kube-"))
        });
        if nearest.is_empty() || self.first(section, nearest.clone(), Outcome::Denied) {
            return;
        }
        section.notes.push(match self.decided(&nearest, Outcome::Undetermined) {
            Some((_, why)) => format!("what is near it can't be told beforehand: {why}"),
            None => "nothing near it is denied".to_owned(),
        });
    }

    /// Claims the first of these of which the policies say this. True also where that was
    /// claimed before.
    fn first(
        &mut self,
        section: &mut Section,
        asked: Vec<(Person, To, AskedPort)>,
        outcome: Outcome,
    ) -> bool {
        let Some((place, because)) = self.decided(&asked, outcome) else { return false };
        let Some((from, to, port)) = asked.into_iter().nth(place) else { return false };
        let place = |person: &Person| format!("{} {:?}", person.namespace, person.labels);
        if self.seen.insert(format!("{} {} {port}", place(&from), place(to.person()))) {
            let allowed = outcome == Outcome::Allowed;
            section.claims.push(Claim { from, to, port, allowed, because });
        }
        true
    }

    /// The first of these with an outcome, and what decides it.
    fn decided(
        &self,
        asked: &[(Person, To, AskedPort)],
        outcome: Outcome,
    ) -> Option<(usize, String)> {
        let all = self.compiled(asked);
        asked.iter().enumerate().find_map(|(place, (from, to, port))| {
            let decision = all.decide(&traffic(&all, place, from, to.person(), *port)?);
            (decision.outcome == outcome).then(|| (place, all.cause(&decision)))
        })
    }

    /// Why the first of these can't be told.
    fn doubt(&self, asked: &[(Person, To, AskedPort)]) -> String {
        let all = self.compiled(&asked[..1]);
        let Some((from, to, port)) = asked.first() else { return String::new() };
        let cause = traffic(&all, 0, from, to.person(), *port)
            .map(|traffic| all.cause(&all.decide(&traffic)))
            .unwrap_or_default();
        format!("can't be told beforehand: {cause}")
    }

    /// All policies, and both ends of each question, named by its place.
    fn compiled(&self, asked: &[(Person, To, AskedPort)]) -> Compiled {
        let pods = asked.iter().enumerate().flat_map(|(place, (from, to, port))| {
            let mut destination = to.person().pod(&format!("to-{place}"));
            if !destination.ports.iter().any(|known| known.number == port.number) {
                destination.ports.push(NamedPort {
                    name: None,
                    number: port.number,
                    protocol: port.protocol,
                });
            }
            [from.pod(&format!("from-{place}")), destination]
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
    to: &Person,
    port: AskedPort,
) -> Option<Traffic> {
    let pod = |person: &Person, end: &str| {
        all.topology().pod(&person.namespace, &format!("{end}-{place}")).map(End::Pod)
    };
    Some(Traffic::new(pod(from, "from")?, pod(to, "to")?, port.protocol, port.number))
}

/// Source and destination, by the direction in which the subject's policy looks.
fn ends(direction: Direction, subject: &Person, other: &Person) -> (Person, Person) {
    match direction {
        Direction::Ingress => (other.clone(), subject.clone()),
        Direction::Egress => (subject.clone(), other.clone()),
    }
}

/// The destination: itself, or the Service in front of the cluster's DNS. In `kube-system`
/// nothing else is stood in for.
fn dialled(to: &Person, rule: &Rule) -> Option<To> {
    if to.namespace != DNS.0 {
        return Some(To::Person(to.clone()));
    }
    let is_dns = to.labels.get("k8s-app").is_none_or(|app| app == DNS.1);
    let by_port =
        rule.ports.as_ref().is_none_or(|ports| ports.iter().any(|port| holds(port, DNS.2)));
    let mut person = to.clone();
    person.labels.insert("k8s-app".to_owned(), DNS.1.to_owned());
    (is_dns && by_port).then_some(To::Dns(person))
}

fn holds(port: &PortMatch, number: u16) -> bool {
    matches!(port, PortMatch::Range(_, first, last) if (*first..=*last).contains(&number))
}

/// The same with the port that a rule calls by a name, where nobody says what that is.
fn with_named_port(to: &Person, rule: &Rule) -> Person {
    let mut to = to.clone();
    let first = rule.ports.as_ref().and_then(|ports| ports.first());
    if let Some(PortMatch::Named(protocol, name)) = first
        && to.ports.is_empty()
    {
        let protocol = protocol.unwrap_or(IpProtocol::Tcp);
        to.ports.push(NamedPort { name: Some(name.clone()), number: USUAL.number, protocol });
    }
    to
}

/// The first port of a rule that the destination can be asked on.
fn port_of(rule: &Rule, to: &Person) -> Option<AskedPort> {
    let Some(ports) = &rule.ports else { return Some(first_port(to)) };
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
fn first_port(person: &Person) -> AskedPort {
    if person.namespace == DNS.0 {
        return AskedPort { protocol: IpProtocol::Udp, number: DNS.2 };
    }
    let declared = person.ports.iter().find(|port| protocol_word(port.protocol).is_some());
    declared.map_or(USUAL, |port| AskedPort { protocol: port.protocol, number: port.number })
}

fn about_block(block: &IpBlock, direction: Direction) -> String {
    let what = match direction {
        Direction::Ingress => "is dialled from",
        Direction::Egress => "is there",
    };
    format!("it allows the addresses {block}: write a case with one that {what}, as an `ip` peer")
}
