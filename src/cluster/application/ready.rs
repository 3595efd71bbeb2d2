//! When a workload is as it was asked for, and why it is not.

use serde_json::Value;

use super::text;

/// Where a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is available, or done; or it is nothing that one waits for.
    Ready,
    /// Not yet, and how far it is.
    Waiting(String),
    /// It never will be.
    Failed(String),
}

/// Kinds that are waited for.
pub(super) const WORKLOADS: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Pod"];

/// Where an object stands, by its own status.
pub(super) fn standing(object: &Value) -> Standing {
    let number =
        |pointer: &str, or: i64| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(or);
    let seen = number("/status/observedGeneration", 0) >= number("/metadata/generation", 0);
    let of = |done: &str, wanted: i64, word: &str| {
        let done = number(done, 0);
        if seen && done >= wanted {
            Standing::Ready
        } else {
            Standing::Waiting(format!("{done} of {wanted} {word}"))
        }
    };
    let replicas = number("/spec/replicas", 1);
    match text(object, "/kind") {
        "Deployment" if number("/status/updatedReplicas", 0) < replicas => {
            of("/status/updatedReplicas", replicas, "replicas updated")
        }
        "Deployment" => of("/status/availableReplicas", replicas, "replicas available"),
        "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            of("/status/readyReplicas", replicas, "replicas ready")
        }
        "DaemonSet" => {
            let wanted = number("/status/desiredNumberScheduled", i64::MAX);
            match wanted {
                i64::MAX => Standing::Waiting("not looked at yet".to_owned()),
                wanted => of("/status/numberAvailable", wanted, "pods available"),
            }
        }
        "Job" if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) => Standing::Ready,
        "Job" => match (condition(object, "Complete"), condition(object, "Failed")) {
            (Some(_), _) => Standing::Ready,
            (None, Some(why)) => Standing::Failed(format!("the Job failed: {why}")),
            (None, None) => of("/status/succeeded", i64::MAX, "").or("not complete"),
        },
        "Pod" => match text(object, "/status/phase") {
            "Succeeded" => Standing::Ready,
            "Failed" => Standing::Failed(problem(object)),
            _ if condition(object, "Ready").is_some() => Standing::Ready,
            _ => Standing::Waiting(problem(object)),
        },
        _ => Standing::Ready,
    }
}

impl Standing {
    /// The same, in other words.
    fn or(self, words: &str) -> Self {
        match self {
            Self::Waiting(_) => Self::Waiting(words.to_owned()),
            other => other,
        }
    }
}

/// What a condition that holds says.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let holds = |one: &&Value| one["type"] == kind && one["status"] == "True";
    conditions.iter().find(holds).map(|condition| text(condition, "/message"))
}

/// Why a pod isn't ready: the first container that says something, or where it was placed.
pub(super) fn problem(pod: &Value) -> String {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists
        .iter()
        .filter_map(|list| pod.pointer(list)?.as_array())
        .flatten()
        .filter(|container| container["ready"] != true);
    for container in containers {
        let name = text(container, "/name");
        for pointer in ["/state/waiting", "/state/terminated", "/lastState/terminated"] {
            let Some(state) = container.pointer(pointer) else { continue };
            let (reason, message) = (text(state, "/reason"), text(state, "/message"));
            match (reason, message) {
                ("Completed", _) => {}
                (reason, "") if !reason.is_empty() => return format!("{name}: {reason}"),
                ("", "") => {}
                (reason, message) => return format!("{name}: {reason}: {message}"),
            }
        }
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let failing = conditions
        .into_iter()
        .flatten()
        .find(|one| one["status"] == "False" && !text(one, "/message").is_empty());
    match failing {
        Some(condition) => text(condition, "/message").to_owned(),
        None => format!("phase {}", text(pod, "/status/phase")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workload_is_ready_when_all_of_it_is() {
        let waiting = |words: &str| Standing::Waiting(words.to_owned());
        for (case, object, expected) in [
            (
                "a deployment that was not seen",
                json!({"kind": "Deployment", "metadata": {"generation": 2},
                    "status": {"observedGeneration": 1, "updatedReplicas": 1,
                               "availableReplicas": 1}}),
                waiting("1 of 1 replicas available"),
            ),
            (
                "half a deployment",
                json!({"kind": "Deployment", "spec": {"replicas": 2},
                    "status": {"updatedReplicas": 2, "availableReplicas": 1}}),
                waiting("1 of 2 replicas available"),
            ),
            (
                "none is wanted",
                json!({"kind": "Deployment", "spec": {"replicas": 0}}),
                Standing::Ready,
            ),
            ("a new DaemonSet", json!({"kind": "DaemonSet"}), waiting("not looked at yet")),
            (
                "a DaemonSet for no node",
                json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 0}}),
                Standing::Ready,
            ),
            ("a Job", json!({"kind": "Job"}), waiting("not complete")),
            (
                "a Job that is done",
                json!({"kind": "Job", "status": {"conditions":
                    [{"type": "Complete", "status": "True"}]}}),
                Standing::Ready,
            ),
            (
                "a Job that failed",
                json!({"kind": "Job", "status": {"conditions":
                    [{"type": "Failed", "status": "True", "message": "too often"}]}}),
                Standing::Failed("the Job failed: too often".into()),
            ),
            (
                "a pod that crashes",
                json!({"kind": "Pod", "status": {"phase": "Running", "containerStatuses": [
                    {"name": "a", "ready": true},
                    {"name": "b", "ready": false, "state": {"waiting":
                        {"reason": "CrashLoopBackOff", "message": "back-off"}}}]}}),
                waiting("b: CrashLoopBackOff: back-off"),
            ),
            (
                "a pod that fits nowhere",
                json!({"kind": "Pod", "status": {"phase": "Pending", "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]}}),
                waiting("0/2 nodes"),
            ),
            ("nothing to wait for", json!({"kind": "Ingress"}), Standing::Ready),
        ] {
            assert_eq!(standing(&object), expected, "{case}");
        }
    }
}
