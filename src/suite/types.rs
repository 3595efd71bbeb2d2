//! A checked suite: every name in it resolves, every table is expanded.
//!
//! What the planner sees. A value of these types has passed the loader's checks, so
//! nothing behind it meets an unknown peer, a bad port or a claim that can't be judged.

use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ask::Ask,
    change::Change,
    moments::{Startup, Survival},
};
use crate::model::{Connectivity, Family, Labels, Port};

/// A file of claims about a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// `metadata.name`, a DNS-1123 label, unique among all suites that were loaded together.
    pub name: String,
    /// `metadata.description`.
    pub description: Option<String>,
    /// What is created before the cases run.
    pub setup: Setup,
    /// The ends of the claims, by name.
    pub peers: BTreeMap<String, Peer>,
    /// The claims that stand before any step, in file order, lists and tables expanded.
    pub cases: Vec<Case>,
    /// Changes with the claims that hold after them, in order; their changes accumulate.
    pub steps: Vec<Step>,
    /// `defaults.within`: how long a change may take to bite. 30 s where absent.
    pub within: Duration,
}

impl Suite {
    /// The changes of each step, in order.
    pub fn changes(&self) -> impl Iterator<Item = &[Change]> + Clone {
        self.steps.iter().map(|step| step.changes.as_slice())
    }

    /// All of its claims.
    pub fn all_cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().chain(self.steps.iter().flat_map(|step| &step.cases))
    }
}

/// What a suite creates before its cases run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setup {
    /// Namespaces to create, by the alias that the suite uses for them.
    pub namespaces: BTreeMap<String, SetupNamespace>,
    /// Objects to create, in file order.
    pub manifests: Vec<Manifest>,
}

/// A namespace that the run creates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupNamespace {
    /// The name to give it; a generated one where absent.
    pub name: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Changes, and what is claimed once they are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The name, unique in the suite and never `base`; it stands in every case's id.
    pub name: String,
    /// What is changed, in the order in which it is done.
    pub changes: Vec<Change>,
    /// The claims, lists and tables expanded.
    pub cases: Vec<Case>,
}

/// The objects of one manifest file, or of one `inline`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Where the objects come from, for messages: the file's path, or `inline`.
    pub source: String,
    /// The objects; Lists are flattened. Each has `apiVersion`, `kind` and `metadata.name`.
    /// Namespaces in them are aliases still: see [`rewrite_namespaces`](super::rewrite_namespaces).
    pub objects: Vec<serde_json::Value>,
}

/// One end of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A probe pod to launch.
    Pod(PodPeer),
    /// A Service, dialled by its address and through each of its endpoints.
    Service(ServicePeer),
    /// An address outside of the suite's control.
    Ip(IpAddr),
    /// A name, resolved in the source pod. It may hold `${namespace:alias}`: see
    /// [`replace_namespace_references`](super::replace_namespace_references).
    Host(String),
}

/// A probe pod to launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPeer {
    /// An alias of `setup.namespaces`, or the name of a namespace that exists.
    pub namespace: String,
    /// The pod's labels.
    pub labels: Labels,
    /// The pod's service account; `default` where absent.
    pub service_account: Option<String>,
    /// The ports that it listens on, by name: its own, else the suite's `defaults.ports`.
    pub ports: BTreeMap<String, Port>,
    /// Labels of the nodes that it may be placed on.
    pub node: Option<BTreeMap<String, String>>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A Service, the suite's own or one that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePeer {
    /// An alias of `setup.namespaces`, or the name of a namespace that exists.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
}

/// One claim: who, to whom, on which port, and whether it is to succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name; with the port's label it is unique in the suite.
    pub name: String,
    /// The peer that dials, always a [`Peer::Pod`].
    pub from: String,
    /// The peer that is dialled.
    pub to: String,
    /// The port that is dialled.
    pub port: CasePort,
    /// What is claimed.
    pub expect: Connectivity,
    /// How long the last change may take to bite, where it differs from the suite's.
    pub within: Option<Duration>,
    /// For how long a dial may stay silent, where it isn't the usual time.
    pub timeout: Option<Duration>,
    /// The only IP family that the claim is about; each that both ends have where absent.
    pub family: Option<Family>,
    /// Why somebody claims this; stands in the report.
    pub because: Option<String>,
    /// What a denial must be backed by; always `Controls` where `expect` is allow.
    pub evidence: EvidenceRule,
    /// The one kind of denial that passes; only where `expect` is deny.
    pub denial: Option<Denial>,
    /// The [`Peer::Pod`] whose same dial proves that a foreign destination is alive.
    pub reached_by: Option<String>,
    /// What is said once the network has let it through, and what is to be answered.
    pub ask: Ask,
    /// What is to become of a connection from before the step's changes; judged apart.
    pub established: Option<Survival>,
    /// What is claimed of one end's first instants; judged apart.
    pub startup: Option<Startup>,
    /// Where the claim stands.
    pub location: Location,
}

/// A port as a case names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CasePort {
    /// The word of the suite, fit for a case id: `main`, `8080`, `53-udp`.
    pub label: String,
    /// The port itself.
    pub port: Port,
}

/// What must stand behind a denial for it to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EvidenceRule {
    /// Every control has to be up.
    #[default]
    Controls,
    /// Being blocked is enough; it is counted apart as "cause unproven".
    Any,
}

/// How traffic is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Denial {
    /// Nothing comes back.
    Drop,
    /// A reset or an ICMP error comes back.
    Reject,
}

/// A place in a suite file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The file as it was named to the loader; `-` for standard input.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}
