//! What is known of a probe pod, and for how long it has been so.

mod readiness;

use std::{net::IpAddr, time::Instant};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use self::readiness::Readiness;
pub(super) use self::readiness::Report;
use super::{AGENT_CONTAINER, marks};
use crate::{model::Labels, plan::PlannedPod};

/// Containers that take connections in the application's place.
const PROXIES: [&str; 7] = [
    "istio-proxy",
    "linkerd-proxy",
    "kuma-sidecar",
    "consul-dataplane",
    "envoy-sidecar",
    "osm-envoy",
    "envoy",
];

/// Other labels that a pod wore before, of which so many are kept: one would do as proof.
const FORMER: usize = 8;

/// Labels that the API server itself copies from the node to every pod, so that they are no
/// sign of anybody's interference.
const COPIED_FROM_NODE: [&str; 2] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Waiting for one of these to pass is in vain.
const LASTING: [&str; 4] =
    ["ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "RunContainerError"];

/// A probe pod as it stands, with the history of its readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodState {
    /// Its uid.
    pub uid: String,
    /// All of its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Its labels as the server has them.
    pub labels: Labels,
    /// Labels that it wore before: what was seen meanwhile was seen of another identity.
    pub former_labels: Vec<Labels>,
    /// Its service account as the server has it.
    pub service_account: Option<String>,
    /// Names of its containers, init containers included.
    pub containers: Vec<String>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// True once it is gone, or marked for deletion.
    pub deleted: bool,
    /// Since when ContainersReady has held without a break, by the runner's clock.
    pub containers_ready_since: Option<Instant>,
    /// What keeps it from being ready: the scheduler's message, waiting reasons, exits.
    pub problems: Vec<ContainerProblem>,
    /// A mesh takes its traffic without a container in the pod.
    ambient: bool,
    readiness: Readiness,
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
    /// The state after a report.
    pub(super) fn seen(pod: &Pod, before: Option<&Self>, report: Report) -> Self {
        let metadata = &pod.metadata;
        let uid = metadata.uid.clone().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let deleted = metadata.deletion_timestamp.is_some();

        let mut readiness = before
            .filter(|before| before.uid == uid)
            .map(|before| before.readiness.clone())
            .unwrap_or_default();
        let condition = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "ContainersReady");
        let ready = !deleted && condition.is_some_and(|condition| condition.status == "True");
        let transition = condition
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0);
        readiness.report(ready, transition, report);

        let labels = metadata.labels.clone().unwrap_or_default();
        let former_labels =
            before.filter(|before| before.uid == uid).map(|before| before.labels_until(&labels));

        let init = spec.init_containers.iter().flatten();
        Self {
            uid,
            addresses: addresses(&status),
            node: spec.node_name,
            labels,
            former_labels: former_labels.unwrap_or_default(),
            service_account: spec.service_account_name,
            containers: spec.containers.iter().chain(init).map(|one| one.name.clone()).collect(),
            phase: status.phase.clone().unwrap_or_else(|| "Pending".into()),
            deleted,
            containers_ready_since: readiness.since(),
            problems: if ready { Vec::new() } else { problems(&status) },
            ambient: metadata
                .annotations
                .iter()
                .flatten()
                .any(|(key, value)| key == "ambient.istio.io/redirection" && value == "enabled"),
            readiness,
        }
    }

    /// The labels that it wore before it had these.
    fn labels_until(&self, now: &Labels) -> Vec<Labels> {
        let mut former = self.former_labels.clone();
        if self.labels != *now && !former.contains(&self.labels) && former.len() < FORMER {
            former.push(self.labels.clone());
        }
        former
    }

    /// The pod is gone; until `known` it was seen to be there.
    pub(super) fn gone(&mut self, known: Instant) {
        self.deleted = true;
        self.readiness.end(known);
        self.containers_ready_since = None;
    }

    /// True if ContainersReady was seen to hold in the whole interval.
    ///
    /// An interface that died inside the interval shows up to 2.5 s later: who needs proof
    /// asks then. Until it is asked for that late, the answer may still turn to false.
    pub fn was_ready(&self, from: Instant, to: Instant) -> bool {
        self.readiness.held(from, to)
    }

    /// How the pod differs from what was sent, or once did, in sentences; empty if it never
    /// has. A policy sees the pod as it stands, so that a difference spoils every claim about
    /// it, also about the time before it was taken back.
    pub fn differs_from(&self, planned: &PlannedPod) -> Vec<String> {
        let mut expected = planned.labels.clone();
        expected.insert(marks::PROBE.to_owned(), String::new());
        let mut differences = Vec::new();
        for labels in std::iter::once(&self.labels).chain(&self.former_labels) {
            for difference in label_differences(&expected, labels) {
                if !differences.contains(&difference) {
                    differences.push(difference);
                }
            }
        }
        for container in self.containers.iter().filter(|name| *name != AGENT_CONTAINER) {
            differences.push(format!("the container `{container}` was added to it"));
        }
        let account = |name: &Option<String>| {
            name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "default".into())
        };
        let (has, sent) = (account(&self.service_account), account(&planned.service_account));
        if has != sent {
            differences.push(format!("its service account is `{has}`, not `{sent}`"));
        }
        if let Some(node) = self.node.as_ref().filter(|node| **node != planned.node) {
            differences.push(format!("it runs on node {node}, not on {}", planned.node));
        }
        differences
    }

    /// True if it has these labels and no others but netproof's own and the node's.
    pub(super) fn wears(&self, labels: &Labels) -> bool {
        let mut expected = labels.clone();
        expected.insert(marks::PROBE.to_owned(), String::new());
        label_differences(&expected, &self.labels).is_empty()
    }

    /// True where a service mesh stands between the agent and its peers: a handshake then
    /// proves nothing about them.
    pub fn meshed(&self) -> bool {
        self.ambient || self.containers.iter().any(|name| PROXIES.contains(&name.as_str()))
    }
}

fn label_differences(expected: &Labels, found: &Labels) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, value) in found {
        match expected.get(key) {
            Some(sent) if sent == value => {}
            Some(sent) => differences.push(format!("its label {key} is `{value}`, not `{sent}`")),
            None if COPIED_FROM_NODE.contains(&key.as_str()) => {}
            None => differences.push(format!("the label {key}=`{value}` was added to it")),
        }
    }
    for (key, value) in expected.iter().filter(|(key, _)| !found.contains_key(*key)) {
        differences.push(format!("its label {key}=`{value}` is gone"));
    }
    differences
}

fn addresses(status: &PodStatus) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = status
        .pod_ips
        .iter()
        .flatten()
        .map(|one| one.ip.as_str())
        .chain(status.pod_ip.as_deref())
        .filter_map(|text| text.parse().ok())
        .collect();
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let new = !seen.contains(address);
        seen.push(*address);
        new
    });
    addresses
}

fn problems(status: &PodStatus) -> Vec<ContainerProblem> {
    let ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    let mut problems = Vec::new();
    for condition in status.conditions.iter().flatten() {
        if condition.type_ == "PodScheduled" && condition.status != "True" {
            problems.push(ContainerProblem {
                reason: condition.reason.clone().unwrap_or_else(|| "not scheduled".into()),
                message: condition.message.clone().unwrap_or_default(),
                lasting: false,
            });
        }
    }
    if let Some(reason) = &status.reason {
        let message = status.message.clone().unwrap_or_default();
        problems.push(ContainerProblem { reason: reason.clone(), message, lasting: ended });
    }
    let init = status.init_container_statuses.iter().flatten();
    problems.extend(init.chain(status.container_statuses.iter().flatten()).filter_map(problem));
    if ended && problems.is_empty() {
        let reason = status.phase.clone().unwrap_or_default();
        problems.push(ContainerProblem {
            reason,
            message: "the agent ended".into(),
            lasting: true,
        });
    }
    problems
}

/// The registry has been asked twice and said that there is no such image, or not for us.
/// Anything else may be a registry that is out of reach for a moment.
fn is_absent_image(reason: &str, message: &str) -> bool {
    reason == "ImagePullBackOff"
        && ["not found", "denied", "unauthorized"].iter().any(|word| message.contains(word))
}

fn problem(status: &ContainerStatus) -> Option<ContainerProblem> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_else(|| "waiting".into());
        // Every container begins so.
        if matches!(reason.as_str(), "ContainerCreating" | "PodInitializing")
            && waiting.message.is_none()
        {
            return None;
        }
        let message = waiting.message.clone().unwrap_or_default();
        let lasting = LASTING.contains(&reason.as_str()) || is_absent_image(&reason, &message);
        return Some(ContainerProblem { reason, message, lasting });
    }
    let ended = state.terminated.as_ref()?;
    // An init container that has done its work.
    if ended.exit_code == 0 && status.name != AGENT_CONTAINER {
        return None;
    }
    let last_words = ended.message.clone().unwrap_or_default();
    Some(ContainerProblem {
        reason: format!(
            "container {} exited with code {}{}",
            status.name,
            ended.exit_code,
            ended.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
        ),
        message: last_words.trim().to_owned(),
        lasting: status.name == AGENT_CONTAINER,
    })
}

#[cfg(test)]
mod tests;
