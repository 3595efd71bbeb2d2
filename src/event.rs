//! What happened, as owned facts in order: the only door between running and reporting.
//!
//! `--output json` writes one [`Record`] per line, and reads back the same. The first is
//! [`Event::RunStarted`], which lists every case, so that none can vanish; the last is
//! [`Event::RunFinished`], whose absence means that the run was cut.

mod canary;
mod outcome;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    canary::{Canary, CanaryState, Direction},
    outcome::{CaseOutcome, Endpoints},
};
use crate::{
    model::{Connectivity, Family, Port, RunId},
    plan::{CaseId, Moment},
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

#[cfg(test)]
mod tests;
