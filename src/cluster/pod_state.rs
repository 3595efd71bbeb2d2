//! What is known of a probe pod, kept over time.

use std::{net::IpAddr, time::Instant};

use crate::{model::Labels, plan::PlannedPod};

/// A probe pod as it stands, with the history of its readiness.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodState {
    /// Its uid.
    pub uid: String,
    /// All of its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Its labels as the server has them.
    pub labels: Labels,
    /// Names of its containers, init containers that keep running included.
    pub containers: Vec<String>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// True once it is gone, or marked for deletion.
    pub deleted: bool,
    /// Since when ContainersReady has held without a break, by the runner's clock.
    pub containers_ready_since: Option<Instant>,
    /// What keeps it from being ready: the scheduler's message, waiting reasons, exits.
    pub problems: Vec<ContainerProblem>,
}

/// Something that keeps a pod from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerProblem {
    /// `ImagePullBackOff`, `Unschedulable`.
    pub reason: String,
    /// The kubelet's or scheduler's sentence.
    pub message: String,
    /// True where waiting longer can't help.
    pub lasting: bool,
}

impl PodState {
    /// True if ContainersReady held in the whole interval.
    pub fn was_ready(&self, _from: Instant, _to: Instant) -> bool {
        false
    }

    /// How the pod differs from what was sent, in sentences; empty if it doesn't.
    pub fn differs_from(&self, _planned: &PlannedPod) -> Vec<String> {
        Vec::new()
    }

    /// True where a service mesh's proxy sits beside the agent.
    pub fn meshed(&self) -> bool {
        false
    }
}
