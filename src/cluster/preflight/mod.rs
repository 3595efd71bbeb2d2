//! Everything that can be known to go wrong before anything is created.
//!
//! What can't be asked for lack of a permission is a warning, not a refusal: the run itself
//! may still be permitted. Only what would stop the run half-way, or harm what is in the
//! cluster, refuses it.

mod access;
mod admission;
mod change;
mod collision;
mod namespace;
mod quota;
mod selection;

use std::{collections::BTreeSet, fmt};

use futures::{StreamExt, stream};

use super::{Error, RunContext};
use crate::plan::{Plan, PlannedPod, PodIndex};

/// Requests in flight.
const PARALLEL: usize = 16;

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

impl Finding {
    fn refuse(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), Some(remedy.into()));
        Self { severity: Severity::Refuse, message, remedy }
    }

    fn warn(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, message: message.into(), remedy: None }
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Looks for everything that would stop the run half-way or harm the cluster's own.
///
/// # Errors
/// The cluster gave no answer.
pub async fn preflight(context: &RunContext, plan: &Plan) -> Result<Preflight, Error> {
    let mut found = Preflight { adopted: collision::with_manifests(plan), ..Preflight::default() };
    let (access, namespaces, changes) = tokio::join!(
        access::look(context, plan),
        namespace::look(context, plan),
        change::look(context, plan),
    );
    found.findings.extend(access?);
    found.findings.extend(changes?);
    found.findings.extend(namespaces?);
    // The rest asks in namespaces that are there.
    if found.findings.iter().all(|finding| finding.severity == Severity::Warn) {
        let looks = places(plan).into_iter().map(async |(namespace, pods)| {
            let (quota, admission, collisions) = tokio::join!(
                quota::look(context, &namespace, &pods),
                admission::look(context, plan, &namespace, &pods),
                collision::look(context, &namespace, &pods),
            );
            let (collisions, adopted) = collisions?;
            Ok::<_, Error>(([quota?, admission?, collisions].concat(), adopted))
        });
        let mut looks = stream::iter(looks).buffer_unordered(PARALLEL);
        while let Some(look) = looks.next().await {
            let (findings, adopted) = look?;
            found.findings.extend(findings);
            found.adopted.extend(adopted);
        }
    }
    found.findings.sort();
    found.findings.dedup();
    Ok(found)
}

/// A pod of the plan with its place there.
type Guest<'a> = (PodIndex, &'a PlannedPod);

/// The namespaces that the run doesn't make, each with the pods that go there.
fn places(plan: &Plan) -> Vec<(String, Vec<Guest<'_>>)> {
    let names: BTreeSet<&String> =
        plan.pods.iter().filter(|pod| !pod.namespace_created).map(|pod| &pod.namespace).collect();
    names
        .into_iter()
        .map(|name| {
            let pods = plan.pods.iter().enumerate();
            let there = pods.filter(|(_, pod)| pod.namespace == *name);
            (name.clone(), there.map(|(index, pod)| (PodIndex(index), pod)).collect())
        })
        .collect()
}

/// Some pods in words: all of few, a few of many.
fn name(pods: &[Guest<'_>]) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = pods.iter().take(SHOWN).map(|(_, pod)| pod.name.as_str()).collect();
    match pods.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
