//! Everything that can be known to go wrong before anything is created.

use std::collections::BTreeSet;

use super::{Error, RunContext};
use crate::plan::{Plan, PodIndex};

/// What preflight found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// What a person should know, refusals first.
    pub findings: Vec<Finding>,
    /// Pods that some controller's selector would adopt: they need `controller: true`.
    pub adopted: BTreeSet<PodIndex>,
}

/// Something that a person should know before the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What, naming the object.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The run can't work; nothing is touched.
    Refuse,
    /// The run can go on.
    Warn,
}

/// Looks for everything that would stop the run half-way or harm the cluster's own.
///
/// # Errors
/// The cluster gave no answer.
pub async fn preflight(_context: &RunContext, _plan: &Plan) -> Result<Preflight, Error> {
    Ok(Preflight::default())
}
