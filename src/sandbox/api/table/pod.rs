//! What a pod's state comes down to in one word.

use serde_json::{Value, json};

use super::{
    super::object::Object,
    cells::{number, or, plain},
    time,
};

/// The columns of a pod that hang together.
pub(super) struct Summary {
    pub ready: String,
    pub status: String,
    pub restarts: String,
}

/// Of a pod that has ended, the condition of its row.
pub(super) fn finished(object: &Value) -> Option<Value> {
    if object["kind"] != "Pod" {
        return None;
    }
    let (reason, message) = match object.text("/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

fn is_sidecar(pod: &Value, name: &str) -> bool {
    let mut containers = pod.items("/spec/initContainers").iter();
    containers
        .any(|container| container.text("/name") == name && container["restartPolicy"] == "Always")
}

fn holds(pod: &Value, kind: &str) -> bool {
    let mut conditions = pod.items("/status/conditions").iter();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn ended(terminated: &Value) -> String {
    match (terminated.text("/reason"), number(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

#[derive(Default)]
struct Restarts {
    count: i64,
    last: String,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += number(status, "/restartCount");
        // All in one form, so that the later one is the greater text.
        let last = status.text("/lastState/terminated/finishedAt");
        if last > self.last.as_str() {
            self.last = last.to_owned();
        }
    }
}

/// The summary of a pod.
pub(super) fn summary(pod: &Value) -> Summary {
    let mut status = or(pod.text("/status/reason").to_owned(), pod.text("/status/phase"));
    let mut conditions = pod.items("/status/conditions").iter();
    if conditions.any(|condition| {
        condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated"
    }) {
        status = "SchedulingGated".to_owned();
    }
    let inits = pod.items("/spec/initContainers");
    let sidecars = inits.iter().filter(|container| container["restartPolicy"] == "Always").count();
    let total = pod.items("/spec/containers").len() + sidecars;
    let (mut ready, mut restarts, mut sidecar_restarts) =
        (0, Restarts::default(), Restarts::default());
    let mut initializing = false;
    for (index, container) in pod.items("/status/initContainerStatuses").iter().enumerate() {
        restarts.add(container);
        let sidecar = is_sidecar(pod, container.text("/name"));
        if sidecar {
            sidecar_restarts.add(container);
        }
        let terminated = container.pointer("/state/terminated");
        if terminated.is_some_and(|terminated| number(terminated, "/exitCode") == 0) {
            continue;
        }
        if sidecar && container["started"] == true {
            ready += usize::from(container["ready"] == true);
            continue;
        }
        let waiting = container.text("/state/waiting/reason");
        status = match terminated {
            Some(terminated) => format!("Init:{}", ended(terminated)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{}", inits.len()),
        };
        initializing = true;
        break;
    }
    if !initializing || holds(pod, "Initialized") {
        restarts = sidecar_restarts;
        let (mut running, mut error) = (false, String::new());
        for container in pod.items("/status/containerStatuses").iter().rev() {
            restarts.add(container);
            let waiting = container.text("/state/waiting/reason");
            if !waiting.is_empty() {
                status = waiting.to_owned();
            } else if let Some(terminated) = container.pointer("/state/terminated") {
                status = ended(terminated);
                if number(terminated, "/exitCode") != 0 {
                    error.clone_from(&status);
                }
            } else if container["ready"] == true && container.pointer("/state/running").is_some() {
                running = true;
                ready += 1;
            }
        }
        if status == "Completed" {
            if running && holds(pod, "Ready") {
                status = "Running".to_owned();
            } else if !error.is_empty() {
                status = error;
            } else if running {
                status = "NotReady".to_owned();
            }
        }
    }
    if pod.is_deleting() {
        if pod.text("/status/reason") == "NodeLost" {
            status = "Unknown".to_owned();
        } else if !matches!(pod.text("/status/phase"), "Succeeded" | "Failed") {
            status = "Terminating".to_owned();
        }
    }
    let restarts = if restarts.count != 0 && !restarts.last.is_empty() {
        format!("{} ({} ago)", restarts.count, time::since(&restarts.last))
    } else {
        restarts.count.to_string()
    };
    Summary { ready: format!("{ready}/{total}"), status, restarts }
}

/// How many of a pod's readiness gates are open.
pub(super) fn gates(pod: &Value) -> Value {
    let gates = pod.items("/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let open = gates.iter().filter(|gate| holds(pod, &plain(gate.get("conditionType")))).count();
    format!("{open}/{}", gates.len()).into()
}
