//! A pod's status, made of what is known of its containers.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::report::{Ended, Report, State};
use crate::sandbox::{
    api::{
        conditions,
        object::{Object, object_mut},
        resource::PODS,
        store::Store,
    },
    layout,
};

/// Where a kubelet would listen.
const KUBELET_PORT: u16 = 10_250;
/// The condition of a pod in which processes stand in for containers.
const STAND_IN_CONDITION: &str = "sandbox.netproof.dev/StandIn";

/// What the worker knows of its pod, beside the containers.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Its node's addresses.
    pub host: Vec<IpAddr>,
    /// Its own, once it has some.
    pub addresses: Vec<IpAddr>,
    /// It has its network.
    pub wired: bool,
    /// Why it doesn't have one yet.
    pub problem: Option<String>,
    pub start: String,
    /// Its init containers have succeeded.
    pub initialized: bool,
    /// The pod has ended before its time: reason and message.
    pub failed: Option<(&'static str, String)>,
}

/// Writes the status of a pod, if it is still the same pod. Gives the version at which the
/// status stands so.
pub(super) fn write(store: &Store, pod: &Value, facts: &Facts, reports: &[Report]) -> Option<u64> {
    store.write(|writer| {
        let now = writer.get(&PODS, pod.namespace(), pod.name())?;
        if now.uid() != pod.uid() {
            return None;
        }
        let mut object = Value::clone(&now);
        fill(&mut object, facts, reports);
        Some(writer.put(&PODS, object).resource_version())
    })
}

fn fill(pod: &mut Value, facts: &Facts, reports: &[Report]) {
    let inits = pod.items("/spec/initContainers").to_vec();
    let containers = pod.items("/spec/containers").to_vec();
    let ephemeral = pod.items("/spec/ephemeralContainers").to_vec();
    let (init_reports, other_reports) = reports.split_at(inits.len().min(reports.len()));
    let (own_reports, ephemeral_reports) =
        other_reports.split_at(containers.len().min(other_reports.len()));
    let phase = phase(facts, init_reports, own_reports, pod.text("/spec/restartPolicy"));

    let status = pod.section_mut("status");
    status.insert("phase".into(), phase.into());
    status.insert("startTime".into(), facts.start.clone().into());
    for (one, all, addresses) in
        [("hostIP", "hostIPs", &facts.host), ("podIP", "podIPs", &facts.addresses)]
    {
        if let Some(first) = addresses.first() {
            status.insert(one.into(), first.to_string().into());
            status.insert(all.into(), addresses.iter().map(|ip| json!({"ip": ip})).collect());
        }
    }
    if let Some((reason, message)) = &facts.failed {
        status.insert("reason".into(), (*reason).into());
        status.insert("message".into(), message.clone().into());
    }
    let describe = |specs: &[Value], reports: &[Report]| -> Value {
        specs.iter().zip(reports).map(|(spec, report)| container_status(spec, report)).collect()
    };
    status.insert("containerStatuses".into(), describe(&containers, own_reports));
    if !inits.is_empty() {
        status.insert("initContainerStatuses".into(), describe(&inits, init_reports));
    }
    if !ephemeral_reports.is_empty() {
        let statuses = describe(&ephemeral, ephemeral_reports);
        status.insert("ephemeralContainerStatuses".into(), statuses);
    }
    let generation = pod.pointer("/metadata/generation").cloned();
    if let Some(generation) = generation {
        pod.section_mut("status").insert("observedGeneration".into(), generation);
    }
    set_conditions(pod, facts, phase, &containers, own_reports, reports);
}

fn phase(facts: &Facts, inits: &[Report], own: &[Report], policy: &str) -> &'static str {
    if facts.failed.is_some() {
        return "Failed";
    }
    let ended = |report: &Report| match &report.state {
        State::Terminated(ended) if report.over => Some(ended.code),
        _ => None,
    };
    let failed_init =
        inits.iter().any(|report| policy == "Never" && ended(report).is_some_and(|code| code != 0));
    if failed_init {
        return "Failed";
    }
    let codes: Option<Vec<_>> = own.iter().map(ended).collect();
    match codes {
        Some(codes) if codes.iter().all(|code| *code == 0) => "Succeeded",
        Some(_) => "Failed",
        None if own.iter().all(|report| {
            matches!(report.state, State::Waiting { .. }) && report.last.is_none()
        }) =>
        {
            "Pending"
        }
        None => "Running",
    }
}

fn set_conditions(
    pod: &mut Value,
    facts: &Facts,
    phase: &str,
    containers: &[Value],
    own: &[Report],
    all: &[Report],
) {
    let mut set = |kind: &str, holds: bool, reason: &str, message: &str| {
        conditions::set(pod, kind, holds, reason, message);
    };
    let ended = matches!(phase, "Succeeded" | "Failed");
    let (reason, message) = match &facts.problem {
        Some(problem) => ("FailedCreatePodSandBox", problem.as_str()),
        None => ("", ""),
    };
    set("PodReadyToStartContainers", facts.wired && !ended, reason, message);
    if facts.initialized {
        set("Initialized", true, "", "");
    } else {
        let message = "containers with incomplete status";
        set("Initialized", false, "ContainersNotInitialized", message);
    }
    let unready: Vec<_> = containers
        .iter()
        .zip(own)
        .filter(|(_, report)| !report.ready)
        .map(|(container, _)| container.text("/name"))
        .collect();
    let ready = unready.is_empty() && facts.initialized && !ended;
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    let (reason, message) = match phase {
        "Succeeded" => ("PodCompleted", ""),
        "Failed" => ("PodFailed", ""),
        _ if ready => ("", ""),
        _ => ("ContainersNotReady", message.as_str()),
    };
    set("ContainersReady", ready, reason, message);
    let stand_ins: Vec<_> = all.iter().filter_map(|report| report.stand_in.as_deref()).collect();
    if !stand_ins.is_empty() {
        let message =
            format!("the sandbox runs no images; processes stand in: {}", stand_ins.join("; "));
        set(STAND_IN_CONDITION, true, "NoImage", &message);
    }
    let missing: Vec<_> = pod
        .items("/spec/readinessGates")
        .iter()
        .map(|gate| gate.text("/conditionType").to_owned())
        .filter(|kind| !conditions::holds(pod, kind))
        .collect();
    if ready && !missing.is_empty() {
        let texts: Vec<_> = missing
            .iter()
            .map(|kind| {
                format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")
            })
            .collect();
        conditions::set(pod, "Ready", false, "ReadinessGatesNotReady", &texts.join(", "));
    } else {
        conditions::set(pod, "Ready", ready, reason, message);
    }
}

fn container_status(spec: &Value, report: &Report) -> Value {
    let image = spec.text("/image");
    let mut status = json!({
        "name": spec.text("/name"),
        "image": image,
        "imageID": if report.id.is_empty() { String::new() } else { format!("netproof://{image}") },
        "ready": report.ready,
        "started": report.started,
        "restartCount": report.restarts,
        "state": match &report.state {
            State::Waiting { reason, message } if message.is_empty() => {
                json!({"waiting": {"reason": reason}})
            }
            State::Waiting { reason, message } => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            State::Running { since } => json!({"running": {"startedAt": since}}),
            State::Terminated(ended) => terminated(ended),
        },
        "lastState": report.last.as_ref().map_or_else(|| json!({}), terminated),
    });
    if !report.id.is_empty() {
        status["containerID"] = report.id.clone().into();
    }
    status
}

fn terminated(ended: &Ended) -> Value {
    let mut inner = json!({
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": ended.started,
        "finishedAt": ended.finished,
    });
    if ended.code > 128 && ended.reason == "Error" {
        inner["signal"] = (ended.code - 128).into();
    }
    if !ended.message.is_empty() {
        inner["message"] = ended.message.clone().into();
    }
    if !ended.id.is_empty() {
        inner["containerID"] = ended.id.clone().into();
    }
    json!({"terminated": inner})
}

/// The status of every node: it is ready, and it is where its pods' addresses come from.
pub(super) fn node(name: &str, addresses: &[IpAddr], now: &str) -> Value {
    let internal = addresses.iter().map(|ip| json!({"type": "InternalIP", "address": ip}));
    let addresses: Vec<_> =
        internal.chain([json!({"type": "Hostname", "address": name})]).collect();
    let mut node = json!({
        "status": {
            "addresses": addresses,
            // What manifests ask for is never used, and so may be plenty. A node has addresses
            // for 253 pods.
            "capacity": {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "1Ti", "pods": "250"},
            "allocatable": {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "1Ti", "pods": "250"},
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": {
                "architecture": layout::architecture(), "bootID": "", "machineID": "",
                "systemUUID": "", "kernelVersion": "", "osImage": "netproof sandbox",
                "containerRuntimeVersion": "netproof://0", "operatingSystem": "linux",
                "kubeletVersion": layout::KUBERNETES_VERSION, "kubeProxyVersion": "",
            },
        },
    });
    for (kind, holds, reason) in [
        (
            "MemoryPressure",
            false,
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        ("DiskPressure", false, ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")),
        ("PIDPressure", false, ("KubeletHasSufficientPID", "kubelet has sufficient PID available")),
        ("Ready", true, ("KubeletReady", "kubelet is posting ready status")),
    ] {
        let (reason, message) = reason;
        conditions::set(&mut node, kind, holds, reason, message);
    }
    for condition in
        node.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten()
    {
        object_mut(condition).insert("lastHeartbeatTime".into(), now.into());
    }
    node["status"].take()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State, ready: bool, over: bool) -> Report {
        Report { state, ready, over, ..Report::new() }
    }

    fn running() -> State {
        State::Running { since: "2026-01-01T00:00:00Z".into() }
    }

    fn ended(code: i32) -> State {
        State::Terminated(Ended {
            code,
            reason: "Error",
            message: String::new(),
            started: "2026-01-01T00:00:00Z".into(),
            finished: "2026-01-01T00:00:01Z".into(),
            id: String::new(),
        })
    }

    fn waiting() -> State {
        State::Waiting { reason: "ContainerCreating", message: String::new() }
    }

    #[test]
    fn the_phase_follows_from_the_containers() {
        for (message, states, expected) in [
            ("none has started", vec![(waiting(), false)], "Pending"),
            ("one runs", vec![(running(), false), (waiting(), false)], "Running"),
            ("one has ended", vec![(running(), false), (ended(0), true)], "Running"),
            ("one will be started again", vec![(ended(1), false)], "Running"),
            ("all succeeded", vec![(ended(0), true), (ended(0), true)], "Succeeded"),
            ("one failed", vec![(ended(0), true), (ended(1), true)], "Failed"),
        ] {
            let reports: Vec<_> =
                states.into_iter().map(|(state, over)| report(state, false, over)).collect();
            assert_eq!(phase(&Facts::default(), &[], &reports, "Never"), expected, "{message}");
        }
    }

    #[test]
    fn ready_also_needs_the_gates() {
        let facts = Facts {
            addresses: vec![[10, 244, 0, 2].into()],
            initialized: true,
            ..Facts::default()
        };
        for (message, ready, gate, expected) in [
            ("no gate", true, None, (true, true)),
            ("unready", false, None, (false, false)),
            ("a gate that nobody sets", true, Some(false), (true, false)),
            ("a gate that is set", true, Some(true), (true, true)),
        ] {
            let mut pod = json!({"spec": {"containers": [{"name": "a"}]}});
            if let Some(set) = gate {
                pod["spec"]["readinessGates"] = json!([{"conditionType": "example.com/gate"}]);
                conditions::set(&mut pod, "example.com/gate", set, "", "");
            }
            fill(&mut pod, &facts, &[report(running(), ready, false)]);
            let found =
                (conditions::holds(&pod, "ContainersReady"), conditions::holds(&pod, "Ready"));
            assert_eq!(found, expected, "{message}");
        }
    }
}
