//! A flow as Hubble writes it, as far as its fields fit.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde_json::{Value, json};

use super::packet::Packet;
use crate::sandbox::firewall::{Direction, Judged, PodEntry};

/// A new connection, as one node saw it.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Flow {
    pub time: jiff::Timestamp,
    pub node: String,
    pub(super) packet: Packet,
    pub judged: Judged,
    pub source: End,
    pub destination: End,
}

/// Whose address it is.
#[derive(Clone, Debug)]
pub(in crate::sandbox) enum End {
    Pod(Arc<PodEntry>),
    /// The node on which the flow was seen.
    Host,
    /// Another node.
    RemoteNode,
    World,
}

impl Flow {
    /// As JSON.
    pub(super) fn value(&self) -> Value {
        let judged = &self.judged;
        let dropped = !judged.allowed;
        let (field, direction) = match judged.direction {
            Direction::Egress => ("egress", "EGRESS"),
            Direction::Ingress => ("ingress", "INGRESS"),
        };
        let mut flow = json!({
            "time": self.time,
            "verdict": if dropped { "DROPPED" } else { "FORWARDED" },
            "IP": self.packet.ip(),
            "source": self.source.value(),
            "destination": self.destination.value(),
            "Type": "L3_L4",
            "node_name": self.node,
            // A policy's verdict, among Hubble's kinds of events.
            "event_type": {"type": 5},
            "traffic_direction": direction,
            "is_reply": false,
            "Summary": self.packet.carried.summary(),
        });
        let l4 = self.packet.carried.l4();
        if !l4.is_null() {
            flow["l4"] = l4;
        }
        if dropped {
            flow["drop_reason"] = 133.into();
            flow["drop_reason_desc"] = "POLICY_DENIED".into();
        }
        if !judged.policies.is_empty() {
            let said = if dropped { "denied" } else { "allowed" };
            let policies = judged.policies.iter().map(|(namespace, name)| {
                let mut policy = if namespace.is_empty() {
                    json!({"kind": "ClusterNetworkPolicy", "name": name})
                } else {
                    json!({"kind": "NetworkPolicy", "namespace": namespace, "name": name})
                };
                if let Some(rule) = judged.rule {
                    policy["rule"] = rule.into();
                }
                policy
            });
            flow[format!("{field}_{said}_by")] = policies.collect();
        }
        flow
    }
}

impl End {
    fn value(&self) -> Value {
        // The numbers are those that Cilium reserves.
        let reserved = |identity: u32, name: &str| json!({"identity": identity, "labels": [format!("reserved:{name}")]});
        match self {
            Self::Host => reserved(1, "host"),
            Self::World => reserved(2, "world"),
            Self::RemoteNode => reserved(6, "remote-node"),
            Self::Pod(pod) => {
                let mut labels: Vec<String> =
                    pod.labels.iter().map(|(key, value)| format!("k8s:{key}={value}")).collect();
                labels.push(format!("k8s:io.kubernetes.pod.namespace={}", pod.namespace));
                labels.sort_unstable();
                json!({
                    "identity": identity(&labels),
                    "namespace": pod.namespace,
                    "pod_name": pod.name,
                    "labels": labels,
                })
            }
        }
    }

    /// Whose address it is.
    pub(super) fn of(
        address: IpAddr,
        pod: Option<Arc<PodEntry>>,
        node: &str,
        nodes: &BTreeMap<IpAddr, String>,
    ) -> Self {
        match (pod, nodes.get(&address)) {
            (Some(pod), _) => Self::Pod(pod),
            (None, Some(own)) if own == node => Self::Host,
            (None, Some(_)) => Self::RemoteNode,
            (None, None) => Self::World,
        }
    }
}

/// A number that pods with the same labels share, above those that are reserved. It is made
/// of the labels alone, so that it is the same in every run.
fn identity(labels: &[String]) -> u32 {
    let digest = labels
        .iter()
        .flat_map(|label| label.bytes().chain([0]))
        .fold(0x811c_9dc5_u32, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    256 + digest % (65_536 - 256)
}
