//! The plan's types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::PlannedCase;
use crate::{
    model::{Labels, Port, RunId},
    suite::{ObjectName, PatchBody, Wait},
};

/// Everything that a run will create and ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The run that it is for; stands in all names.
    pub run: RunId,
    /// The nodes that pods are placed on, in order of use.
    pub nodes: Vec<String>,
    /// Where the control pods live.
    pub control_namespace: ControlNamespace,
    /// The control pods of each node in `nodes`.
    pub controls: BTreeMap<String, ControlPods>,
    /// Every pod to launch: those of all suites, then the control pods.
    pub pods: Vec<PlannedPod>,
    /// Suites in the order in which they are run.
    pub suites: Vec<SuitePlan>,
    /// Cases that the filter left out.
    pub filtered_out: usize,
}

impl Plan {
    /// The pod that an index of this plan stands for.
    pub fn pod(&self, index: PodIndex) -> &PlannedPod {
        &self.pods[index.0]
    }

    /// All cases in order.
    pub fn cases(&self) -> impl Iterator<Item = &PlannedCase> {
        self.suites.iter().flat_map(SuitePlan::all_cases)
    }
}

/// A pod of a plan, by its place in [`Plan::pods`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodIndex(pub usize);

/// Where the control pods live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlNamespace {
    /// Its name.
    pub name: String,
    /// True where the run makes it and so removes it.
    pub created: bool,
}

/// The control pods of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPods {
    /// Never isolated: dials and is dialled to prove paths.
    pub witness: PodIndex,
    /// Isolated for ingress by the canary policy.
    pub canary_ingress: PodIndex,
    /// Isolated for egress by the canary policy.
    pub canary_egress: PodIndex,
    /// Isolated and let in again with each step: tells when changes have arrived.
    pub marker: PodIndex,
}

/// One suite of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct SuitePlan {
    /// The suite's name.
    pub name: String,
    /// Namespaces that the run makes, in order of their aliases.
    pub namespaces: Vec<PlannedNamespace>,
    /// Objects to apply, aliases already rewritten, in the suite's order.
    pub objects: Vec<PlannedObject>,
    /// The suite's own pods.
    pub pods: Vec<PodIndex>,
    /// What is asked before any step, in the suite's order.
    pub cases: Vec<PlannedCase>,
    /// Changes, and what is asked after each; up to the last that has cases.
    pub steps: Vec<StepPlan>,
}

/// One step of a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// The step's name.
    pub name: String,
    /// What is changed, in order.
    pub changes: Vec<PlannedChange>,
    /// What is asked once that is done.
    pub cases: Vec<PlannedCase>,
}

/// One change of a step, by names in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum PlannedChange {
    /// An object to create, or to replace where this run has created it.
    Apply(PlannedObject),
    /// An object to patch.
    Patch {
        /// Which; its namespace is the name in the cluster.
        object: ObjectName,
        /// How.
        patch: PatchBody,
    },
    /// An object to delete.
    Delete(ObjectName),
    /// Labels of probe pods.
    LabelPods {
        /// Which pods.
        pods: Vec<PodIndex>,
        /// Labels that they get.
        set: Labels,
        /// Labels that they lose.
        remove: BTreeSet<String>,
    },
    /// Labels of a namespace.
    LabelNamespace {
        /// Its name in the cluster.
        namespace: String,
        /// Labels that it gets.
        set: Labels,
        /// Labels that it loses.
        remove: BTreeSet<String>,
    },
    /// Probe pods to delete.
    DeletePods(Vec<PodIndex>),
    /// Probe pods to launch.
    CreatePods(Vec<PodIndex>),
    /// Something to wait for.
    Wait(Wait),
}

impl SuitePlan {
    /// All that is asked, in order.
    pub fn all_cases(&self) -> impl Iterator<Item = &PlannedCase> {
        self.cases.iter().chain(self.steps.iter().flat_map(|step| &step.cases))
    }

    /// The objects of its setup and of all its steps.
    pub fn all_objects(&self) -> impl Iterator<Item = &PlannedObject> {
        let changes = self.steps.iter().flat_map(|step| &step.changes);
        let of_steps = changes.filter_map(|change| match change {
            PlannedChange::Apply(object) => Some(object),
            _ => None,
        });
        self.objects.iter().chain(of_steps)
    }

    /// The pods that are launched before the first case.
    pub fn first_pods(&self) -> Vec<PodIndex> {
        let later: BTreeSet<PodIndex> = self
            .steps
            .iter()
            .flat_map(|step| &step.changes)
            .filter_map(|change| match change {
                PlannedChange::CreatePods(pods) => Some(pods),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        let newcomers: BTreeSet<PodIndex> =
            self.all_cases().filter_map(PlannedCase::newcomer).collect();
        let first = self.pods.iter().copied();
        first.filter(|pod| !later.contains(pod) && !newcomers.contains(pod)).collect()
    }

    /// Namespaces that its objects go to and that it doesn't make, by its setup or as one
    /// of the objects.
    pub fn foreign_namespaces(&self) -> impl Iterator<Item = &str> {
        fn text<'a>(object: &'a PlannedObject, at: &str) -> Option<&'a str> {
            object.object.pointer(at).and_then(Value::as_str)
        }
        let is_made = |name: &str| {
            let is = |object| {
                text(object, "/kind") == Some("Namespace")
                    && text(object, "/metadata/name") == Some(name)
            };
            self.namespaces.iter().any(|made| made.name == name) || self.all_objects().any(is)
        };
        let named = self.all_objects().filter_map(|object| text(object, "/metadata/namespace"));
        named.filter(move |name| !is_made(name))
    }
}

/// A namespace that the run makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNamespace {
    /// What the suite calls it.
    pub alias: String,
    /// Its name in the cluster.
    pub name: String,
    /// The suite's labels; the run adds its own.
    pub labels: Labels,
    /// The suite's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// An object of a suite's manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedObject {
    /// File that it came from, or `inline`.
    pub source: String,
    /// The object as it will be sent.
    pub object: Value,
}

/// A probe pod to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPod {
    /// `np-<run>-<identity>-0`; also the identity that its agent answers with.
    pub name: String,
    /// The namespace's name in the cluster.
    pub namespace: String,
    /// True where the run makes that namespace.
    pub namespace_created: bool,
    /// What policies see.
    pub labels: Labels,
    /// The suite's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The namespace's `default` where none is named.
    pub service_account: Option<String>,
    /// Ports that the agent listens on, by their container port names.
    pub ports: BTreeMap<String, Port>,
    /// True if it sends ICMP, which takes a sysctl.
    pub pings: bool,
    /// The node that it is placed on by affinity.
    pub node: String,
    /// What it is for.
    pub role: Role,
}

/// What a probe pod is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peers of a suite that have this identity.
    Peer {
        /// Their names in the suite.
        names: Vec<String>,
    },
    /// A copy of a peer's identity on another node, which proves that a Service works
    /// from there.
    StandIn {
        /// The pod that it copies.
        of: PodIndex,
    },
    /// A pod with a peer's identity that is launched after a step has settled, for its first
    /// instants to be seen.
    Newcomer {
        /// The pod that has that identity.
        of: PodIndex,
    },
    /// Proves paths; never isolated.
    Witness,
    /// Proves that ingress isolation bites on its node.
    CanaryIngress,
    /// Proves that egress isolation bites on its node.
    CanaryEgress,
    /// Isolated, and let through again, after each step's changes.
    Marker,
}
