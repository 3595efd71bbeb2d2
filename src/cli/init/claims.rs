//! Which claims a policy's rules call for: what each lets through, and the nearest that it
//! doesn't. What is expected is the evaluator's word, for all policies together.

use std::net::IpAddr;

use super::{
    asking::Asking,
    people::{People, Person},
};
use crate::{
    cli::workloads::AskedPort,
    policy::{Direction, Policy, PolicySet},
};

/// Everything that the suite is written from.
pub(super) struct Found {
    pub(super) people: People,
    pub(super) sections: Vec<Section>,
}

/// What one rule calls for.
#[derive(Default)]
pub(super) struct Section {
    /// `NetworkPolicy shop/db, spec.ingress[0]`.
    pub(super) title: String,
    pub(super) claims: Vec<Claim>,
    /// What can't be claimed, and why.
    pub(super) notes: Vec<String>,
    /// Cases that somebody else has to fill in: who dials, whom, on which port, what comes of it.
    pub(super) open: Vec<(String, Person, AskedPort, bool)>,
}

impl Section {
    pub(super) fn new(title: String) -> Self {
        Self { title, ..Self::default() }
    }
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
    /// An address outside the cluster.
    Address(IpAddr),
}

impl To {
    pub(super) fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) | Self::Dns(person) => Some(person),
            Self::Address(_) => None,
        }
    }
}

/// The claims for these policies, all of `set` being in force.
pub(super) fn claims(set: &PolicySet, wanted: &[&Policy], people: People) -> Found {
    let mut asking = Asking::new(set, people);
    let mut sections = Vec::new();
    for policy in wanted {
        for direction in [Direction::Ingress, Direction::Egress] {
            match policy {
                Policy::Network(policy) => sections.extend(asking.of_network(policy, direction)),
                Policy::Cluster(policy) => sections.extend(asking.of_cluster(policy, direction)),
            }
        }
    }
    Found { people: asking.people, sections }
}
