//! One claim of a plan.

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::PodIndex;
use crate::{
    model::{Connectivity, Family, Port},
    suite::{Ask, CaseEnd, Denial, EvidenceRule, Location, Survival},
};

/// A case's name for machines: `suite/step/case/port/family`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One claim with all that is needed to judge it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCase {
    /// Unique in the plan.
    pub id: CaseId,
    /// The step that it belongs to; `base` for the cases before any.
    pub step: String,
    /// The case's name in its suite.
    pub name: String,
    /// The source peer's name in the suite.
    pub from: String,
    /// The destination peer's name in the suite.
    pub to: String,
    /// The port as the suite calls it.
    pub port_label: String,
    /// The port that is dialled.
    pub port: Port,
    /// The family that is dialled.
    pub family: Family,
    /// The pod that dials.
    pub source: PodIndex,
    /// Who is dialled.
    pub destination: Destination,
    /// The claim.
    pub expect: Connectivity,
    /// How long the cluster may take to comply.
    pub within: Duration,
    /// For how long a dial may stay silent, where it isn't the usual time.
    pub timeout: Option<Duration>,
    /// Why the suite's author claims it.
    pub because: Option<String>,
    /// What a denial needs to pass.
    pub evidence: EvidenceRule,
    /// Which kind of denial is asked for, if one is.
    pub denial: Option<Denial>,
    /// Dials a foreign destination in the same round to prove that it is there. For a
    /// Service, every pod that is to be tried as a witness, all on the source's node.
    pub witnesses: Vec<PodIndex>,
    /// Which connection it is about.
    pub moment: Moment,
    /// What is said, and the answer that is asked for.
    pub ask: Ask,
    /// Where the suite states it.
    pub location: Location,
}

/// Which connection a case is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Moment {
    /// A fresh one, once the cluster is at rest.
    #[default]
    Fresh,
    /// One that was opened before the step's changes, and is used after them.
    Established {
        /// What is to become of it.
        claim: Survival,
    },
    /// The first ones of a pod that is made anew for this.
    Startup {
        /// Which end that is.
        fresh: CaseEnd,
    },
}

impl PlannedCase {
    /// Puts the pod that is made anew for it in the place of the one that runs.
    pub(super) fn be_about(&mut self, newcomer: PodIndex) {
        match self.moment {
            Moment::Startup { fresh: CaseEnd::From } => self.source = newcomer,
            Moment::Startup { fresh: CaseEnd::To } => {
                self.destination = Destination::Pod(newcomer);
            }
            _ => {}
        }
    }

    /// The pod that is made anew for it, where it is about a pod's first instants.
    pub fn newcomer(&self) -> Option<PodIndex> {
        match (self.moment, &self.destination) {
            (Moment::Startup { fresh: CaseEnd::From }, _) => Some(self.source),
            (Moment::Startup { fresh: CaseEnd::To }, Destination::Pod(pod)) => Some(*pod),
            _ => None,
        }
    }
}

/// Who is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A pod of the plan, by its own address.
    Pod(PodIndex),
    /// A Service, by its cluster IP.
    Service {
        /// Its namespace's name in the cluster.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An address that isn't ours.
    Address(IpAddr),
    /// A name, resolved in the source pod.
    Host(String),
}
