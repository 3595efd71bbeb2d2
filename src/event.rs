//! What happened, as owned facts in order: the only door between running and reporting.
//!
//! `--output json` writes one [`Record`] per line, and reads back the same. The first is
//! [`Event::RunStarted`], which lists every case, so that none can vanish; the last is
//! [`Event::RunFinished`], whose absence means that the run was cut.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::{Connectivity, Family, IpProtocol, Port, RunId, milliseconds},
    plan::{CaseId, Moment},
    verdict::{Cause, Change, Controls, Judgement, Observation},
};

/// The format's version; grows when a reader of the old one would misread the new, or miss
/// what decides. 4: outcomes carry their
/// cause, and who answered may be a name server, an echo or a server without TLS.
pub const VERSION: u32 = 4;

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Milliseconds since the run's start.
    #[serde(rename = "atMs")]
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// First of all; nothing has been created yet.
    RunStarted {
        /// [`VERSION`].
        version: u32,
        /// The run's id.
        run: RunId,
        /// The crate's version.
        netproof: String,
        /// Wall-clock time.
        started: Timestamp,
        /// Where it runs.
        cluster: ClusterInfo,
        /// Every case that will be asked, in order.
        cases: Vec<CaseInfo>,
        /// Cases that the filter left out.
        filtered_out: usize,
        /// Which repetition it is; absent where the run is made once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repetition: Option<Repetition>,
    },
    /// A stage has got this far.
    Progress {
        /// What is being done.
        stage: Stage,
        /// The suite that it is for; none for the control pods.
        suite: Option<String>,
        /// Units done.
        done: usize,
        /// Units in all.
        total: usize,
    },
    /// Something that a reader should know and that decides no verdict.
    Warning {
        /// What, naming the object.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// A canary has been decided.
    Canary {
        /// Whether isolation bites there.
        canary: Canary,
    },
    /// A step has changed something.
    Changed {
        /// The suite.
        suite: String,
        /// The step.
        step: String,
        /// What: `delete NetworkPolicy shop/deny`.
        change: String,
    },
    /// What steps had changed of objects that aren't the run's own was taken back.
    Undone {
        /// How many objects are as they were again.
        restored: usize,
        /// What somebody else has changed since and was left alone.
        kept: Vec<String>,
        /// What could not be put back.
        failed: Vec<String>,
    },
    /// A round has ended.
    Round {
        /// The suite.
        suite: String,
        /// The step; `base` for the cases before any step.
        step: String,
        /// From 1.
        number: u32,
        /// Cases as expected.
        as_expected: usize,
        /// Cases in all.
        total: usize,
        /// Whether the step's marker had bitten.
        counted: bool,
    },
    /// A case has its verdict.
    CaseJudged {
        /// Which case.
        id: CaseId,
        /// The outcome.
        outcome: Box<CaseOutcome>,
    },
    /// The run was told to stop.
    Interrupted {
        /// `SIGINT`, `SIGTERM`, or the deadline.
        by: Interruption,
    },
    /// The run can't go on; cases without a verdict stay so.
    Aborted {
        /// Stage, object and cause.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
        /// False where nothing had been created yet.
        touched: bool,
    },
    /// What the run created has been removed, or kept on request.
    Swept {
        /// How many objects were removed.
        removed: usize,
        /// Objects that could not be removed, or were kept.
        left: Vec<String>,
        /// True if they were kept on request.
        kept: bool,
    },
    /// Last of all.
    RunFinished {
        /// True if every case that was listed got its verdict.
        complete: bool,
    },
}

/// A run's place among its repetitions; each has its own id and its own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repetition {
    /// From 1.
    pub number: u32,
    /// How many there are to be; absent where they go on until one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
}

/// What a run talks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfo {
    /// The kubeconfig's context.
    pub context: String,
    /// The API server's address.
    pub server: String,
    /// What it calls its version.
    pub version: String,
    /// Nodes that pods are placed on.
    pub nodes: Vec<String>,
}

/// A case as it is listed at the run's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseInfo {
    /// Its id.
    pub id: CaseId,
    /// Its suite.
    pub suite: String,
    /// Its step; `base` for the cases before any.
    pub step: String,
    /// Its name.
    pub name: String,
    /// The source peer.
    pub from: String,
    /// The destination peer.
    pub to: String,
    /// The port as the suite calls it.
    pub port_label: String,
    /// The port that is dialled.
    pub port: Port,
    /// The family that is dialled.
    pub family: Family,
    /// The claim.
    pub expect: Connectivity,
    /// Which connection it is about.
    #[serde(default)]
    pub moment: Moment,
    /// Why the suite's author claims it.
    pub because: Option<String>,
    /// `file:line:column` of the claim.
    pub location: String,
}

/// What is being done before cases are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Permissions, quotas, images are looked at.
    Preflight,
    /// Namespaces, manifests and pods are created.
    Create,
    /// Pods become ready.
    Ready,
    /// Sessions to the agents open.
    Sessions,
    /// The canaries are tried.
    Canary,
    /// Everything is removed.
    Sweep,
}

/// Whether isolation bites: one node, direction, transport and family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The node that should enforce.
    pub node: String,
    /// The direction that should be isolated.
    pub direction: Direction,
    /// The transport that was tried.
    pub transport: IpProtocol,
    /// The family that was tried.
    pub family: Family,
    /// What came of it.
    pub state: CanaryState,
}

/// A direction of isolation, in NetworkPolicy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// Into the pod.
    Ingress,
    /// Out of the pod.
    Egress,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What came of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CanaryState {
    /// Reached, then isolated: the CNI enforces here.
    Proven {
        /// From the API server's answer to the policy's write to the first attempt of
        /// the first window in which nothing got through.
        #[serde(rename = "latencyMs", with = "milliseconds")]
        latency: Duration,
    },
    /// Still reached at the end of `--canary-within`: nothing enforces here.
    StillOpen {
        /// How long it was tried.
        #[serde(rename = "triedMs", with = "milliseconds")]
        tried: Duration,
    },
    /// It was never reached, so that its isolation proves nothing.
    NeverReached {
        /// What was seen instead.
        seen: Observation,
    },
    /// It was reached at first, and is no more; but not because of any policy, as far as
    /// can be told: its agent, its session or its way is gone.
    Lost {
        /// What was last seen of it.
        seen: Observation,
    },
}

/// What ended a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Interruption {
    /// A signal from a person or a supervisor.
    Signal,
    /// `--deadline`.
    Deadline,
    /// `--fail-fast`, after a failed case.
    FailFast,
}

/// A case's verdict with everything that a report may want to show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseOutcome {
    /// The verdict and its reason.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// What the policies say of it, where the claim doesn't hold, or holds against them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What was last seen.
    pub seen: Option<Observation>,
    /// The controls of the last round.
    pub controls: Controls,
    /// Changes in what was seen.
    pub history: Vec<Change>,
    /// From the last change to the first attempt that was as expected.
    #[serde(rename = "latencyMs", with = "milliseconds::option")]
    pub latency: Option<Duration>,
    /// The error of `latency`, from the sessions' round trips and the rounds' spacing.
    #[serde(rename = "latencyErrorMs", with = "milliseconds::option")]
    pub latency_error: Option<Duration>,
    /// Source and destination as they stood: `shop/np-…-0 (10.0.0.5, node-1)`.
    pub endpoints: Endpoints,
    /// True for a pass on a CNI that doesn't enforce.
    pub proves_nothing: bool,
    /// From the step's first round to the sighting that decided the case.
    #[serde(rename = "tookMs", with = "milliseconds")]
    pub took: Duration,
}

impl CaseOutcome {
    /// For a case that no round has asked.
    pub fn without_rounds(judgement: Judgement) -> Self {
        Self {
            judgement,
            cause: None,
            seen: None,
            controls: Controls::default(),
            history: Vec::new(),
            latency: None,
            latency_error: None,
            endpoints: Endpoints::default(),
            proves_nothing: false,
            took: Duration::ZERO,
        }
    }
}

/// Who spoke with whom, as they stood in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The source pod, its address and node.
    pub source: String,
    /// The destination, its address and, if it is a pod, its node.
    pub destination: String,
    /// Labels of both, for policies to be compared with.
    pub labels: BTreeMap<String, String>,
    /// The address by which the source is met at the other end, where source NAT puts it in
    /// place of its own: as the listener saw it, or where nothing came through, as one saw a
    /// control pod on the source's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<IpAddr>,
}

#[cfg(test)]
mod tests;
