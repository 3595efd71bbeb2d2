//! A probe pod's manifest: a guest that takes no part in the life of the application whose
//! labels it wears, and that meets the `restricted` Pod Security level.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{
        Affinity, Capabilities, Container, ContainerPort, NodeAffinity, NodeSelector,
        NodeSelectorRequirement, NodeSelectorTerm, Pod, PodReadinessGate, PodSecurityContext,
        PodSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Sysctl,
        TCPSocketAction,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
        util::intstr::IntOrString,
    },
};
use netproof_probe::wire;

use super::{AgentSettings, marks};
use crate::{
    model::{IpProtocol, RunId},
    plan::PlannedPod,
};

/// The name of the container that the agent runs in.
pub const AGENT_CONTAINER: &str = "netproof-probe";

/// The control port's name in the pod.
const CONTROL_NAME: &str = "np-control";

/// What of a probe pod the plan doesn't decide.
pub(super) struct Guest<'a> {
    pub(super) run: &'a RunId,
    pub(super) agent: &'a AgentSettings,
    /// None in a namespace that goes with the run.
    pub(super) owner: Option<OwnerReference>,
    /// Out of every Service.
    pub(super) gate: bool,
    /// What it is to dial from its first instant on.
    pub(super) startup: Option<&'a wire::Startup>,
}

/// The pod as it is sent.
pub(super) fn manifest(planned: &PlannedPod, guest: Guest<'_>) -> Pod {
    let mut labels = planned.labels.clone();
    labels.insert(marks::PROBE.to_owned(), String::new());
    let mut annotations = planned.annotations.clone();
    annotations.insert(marks::RUN.to_owned(), guest.run.to_string());
    Pod {
        metadata: ObjectMeta {
            name: Some(planned.name.clone()),
            namespace: Some(planned.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: guest.owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container(planned, guest.agent, guest.startup)],
            affinity: Some(placement(&planned.node)),
            service_account_name: planned.service_account.clone(),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            // A dead agent is a finding; one that the kubelet revives would hide it.
            restart_policy: Some("Never".into()),
            // The agent ends at once on SIGTERM.
            termination_grace_period_seconds: Some(1),
            active_deadline_seconds: Some(seconds(guest.agent.active_deadline)),
            readiness_gates: guest
                .gate
                .then(|| vec![PodReadinessGate { condition_type: marks::GUEST_GATE.into() }]),
            security_context: Some(pod_security(planned)),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The port for the kubelet's readiness probe: the usual one, unless the pod is to listen
/// there itself.
pub(super) fn control_port(planned: &PlannedPod) -> u16 {
    let taken: BTreeSet<u16> = planned.ports.values().map(|port| port.number).collect();
    // Ephemeral source ports end below the usual port, so that nothing above it is theirs.
    (wire::CONTROL_PORT..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(wire::CONTROL_PORT)
}

/// The agent's container.
pub(super) fn container(
    planned: &PlannedPod,
    agent: &AgentSettings,
    startup: Option<&wire::Startup>,
) -> Container {
    let control = control_port(planned);
    let mut args = vec![
        "serve".to_owned(),
        "--identity".to_owned(),
        planned.name.clone(),
        "--key".to_owned(),
        agent.key.clone(),
        "--control-port".to_owned(),
        control.to_string(),
        "--idle-limit".to_owned(),
        format!("{}s", agent.idle_limit.as_secs()),
    ];
    for (name, port) in &planned.ports {
        args.push("--listen".to_owned());
        args.push(format!("{name}={port}"));
    }
    if let Some(startup) = startup {
        args.push("--startup".to_owned());
        // Plain data: nothing of it can't be written.
        args.push(serde_json::to_string(startup).unwrap_or_default());
    }
    Container {
        name: AGENT_CONTAINER.into(),
        image: Some(agent.image.clone()),
        image_pull_policy: agent.pull_policy.clone(),
        command: Some(vec![format!("/{}", wire::BINARY)]),
        args: Some(args),
        ports: Some(container_ports(planned, control)),
        readiness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::Int(i32::from(control)),
                host: None,
            }),
            period_seconds: Some(1),
            timeout_seconds: Some(1),
            failure_threshold: Some(1),
            ..Probe::default()
        }),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(&[("cpu", "5m"), ("memory", "16Mi")])),
            // 1,500 probes with ten sockets each are 15,000 sockets, for which the kernel
            // alone charges some 75 MB to the pod.
            limits: Some(quantities(&[("memory", "256Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        // The last lines of a failed agent, without having to fetch its log.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    }
}

fn container_ports(planned: &PlannedPod, control: u16) -> Vec<ContainerPort> {
    let mut ports: Vec<ContainerPort> = planned
        .ports
        .iter()
        .map(|(name, port)| ContainerPort {
            name: is_port_name(name).then(|| name.clone()),
            container_port: i32::from(port.number),
            protocol: Some(port.protocol.transport().name().into()),
            ..ContainerPort::default()
        })
        .collect();
    ports.push(ContainerPort {
        name: (!planned.ports.contains_key(CONTROL_NAME)).then(|| CONTROL_NAME.into()),
        container_port: i32::from(control),
        protocol: Some(IpProtocol::Tcp.name().into()),
        ..ContainerPort::default()
    });
    ports
}

/// Kubernetes takes no other names for ports; a suite's port may be called `8080`.
fn is_port_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    name.len() <= 15
        && edge(bytes.first())
        && edge(bytes.last())
        && !name.contains("--")
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// By the node's name, as DaemonSets place theirs: the label `kubernetes.io/hostname` may
/// differ from it. Not by `nodeName`, which goes past the scheduler and its checks.
fn placement(node: &str) -> Affinity {
    let one_of = |key: &str, values: &[&str]| NodeSelectorRequirement {
        key: key.into(),
        operator: "In".into(),
        values: Some(values.iter().map(|&value| value.into()).collect()),
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_fields: Some(vec![one_of("metadata.name", &[node])]),
                    match_expressions: Some(vec![
                        one_of("kubernetes.io/os", &["linux"]),
                        one_of("kubernetes.io/arch", &["amd64", "arm64"]),
                    ]),
                }],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn pod_security(planned: &PlannedPod) -> PodSecurityContext {
    let privileged = planned.ports.values().any(|port| port.number < 1024);
    let low = privileged.then_some(("net.ipv4.ip_unprivileged_port_start", "0"));
    // For both families, in spite of its name.
    let ping = planned.pings.then_some(("net.ipv4.ping_group_range", "0 2147483647"));
    let sysctls: Vec<Sysctl> = [low, ping]
        .into_iter()
        .flatten()
        .map(|(name, value)| Sysctl { name: name.into(), value: value.into() })
        .collect();
    PodSecurityContext {
        // The user is the image's: a fixed one is refused where each namespace has a range.
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        sysctls: (!sysctls.is_empty()).then_some(sysctls),
        ..PodSecurityContext::default()
    }
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|&(name, value)| (name.into(), Quantity(value.into()))).collect()
}

fn seconds(duration: std::time::Duration) -> i64 {
    // The API takes no more than an i32 here.
    duration.as_secs().clamp(1, i32::MAX as u64).cast_signed()
}

#[cfg(test)]
mod tests;
