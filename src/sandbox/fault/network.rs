//! Faults of the CNI, and of the network below it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Family, Fault, FaultError, Percent, read,
    value::{bare, duration, pair, write_duration},
};
use crate::model::{Port, Protocol, Transport};

/// One way in which policies are not what the wire does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// Policies are accepted by the API and change nothing on the wire.
    EnforceNothing,
    /// Ingress rules and isolation are not enforced.
    IgnoreIngress,
    /// Egress rules and isolation are not enforced.
    IgnoreEgress,
    /// Every change of policy reaches the wire this much later.
    Delay(Duration),
    /// This share of the packets between pods is lost, each way.
    Loss(Percent),
    /// Nothing passes between two nodes; without names, between the first and the second.
    DeadPath(Option<(String, String)>),
    /// Nothing passes from the first of these nodes to the second; the way back is open.
    DeadWay(String, String),
    /// This share of the packets from other nodes and from outside to a node is lost; none
    /// on the way back.
    OneWayLoss(String, Percent),
    /// Nothing passes through a pod's own interface.
    DeadInterface {
        /// The pod's namespace.
        namespace: String,
        /// The pod.
        pod: String,
    },
    /// Denied connections are answered in place of being dropped: TCP with a reset,
    /// everything else with ICMP "administratively prohibited".
    Reject,
    /// The exceptions of ipBlocks are not taken out.
    IgnoreExcept,
    /// Of a range of ports only the first counts.
    IgnoreEndPort,
    /// Names of ports are not resolved: what asks for one allows nothing.
    IgnoreNamedPorts,
    /// Every namespaceSelector selects every namespace.
    IgnoreNamespaceSelector,
    /// ipBlocks don't match the addresses of pods.
    IgnoreIpBlockPods,
    /// UDP passes, whatever policies say.
    IgnoreUdp,
    /// IPv6 passes, whatever policies say.
    IgnoreIpv6,
    /// Isolated pods are still open to those of their own namespace.
    AllowOwnNamespace,
    /// Of several policies for one pod only the first by its name counts.
    FirstPolicyOnly,
    /// A peer with two selectors is taken for two peers.
    OrSelectors,
    /// Replies over UDP are judged as if they were connections of their own.
    DropRepliesUdp,
    /// New labels of pods and namespaces are not heeded until they are made anew.
    StaleLabels,
    /// Policies that were deleted stay in force.
    StalePolicies,
    /// Connections that stand are judged packet by packet, like new ones: a policy cuts them.
    CutEstablished,
    /// Policies are judged by the port that was dialled, before a Service translates it.
    ServicePort,
    /// The proxies have not heard of a Service's endpoints: it refuses on every node.
    EmptyService {
        /// The Service's namespace.
        namespace: String,
        /// The Service.
        service: String,
    },
    /// A pod is open for this long after it got its address.
    LateIsolation(Duration),
    /// A policy isolates at once; what it allows reaches the wire this much later.
    LateAllows(Duration),
    /// What a pod sends to another node leaves with its own node's address.
    Masquerade,
    /// A packet filter that is no policy drops new connections to this port on every node.
    DropPort(Transport, u16),
}

impl NetworkFault {
    /// Those of this family among `Fault` objects.
    pub fn among(objects: &[Arc<Value>]) -> Vec<Self> {
        let faults = objects.iter().filter_map(|object| Fault::of(object));
        faults
            .filter_map(|fault| match fault {
                Fault::Network(fault) => Some(fault),
                _ => None,
            })
            .collect()
    }
}

impl Family for NetworkFault {
    const NAMES: &'static [&'static str] = &[
        "enforce-nothing",
        "ignore-ingress",
        "ignore-egress",
        "delay=DURATION",
        "loss=PERCENT",
        "dead-path",
        "dead-path=NODE,NODE",
        "dead-way=NODE,NODE",
        "one-way-loss=NODE,PERCENT",
        "dead-interface=NAMESPACE/POD",
        "reject",
        "ignore-except",
        "ignore-end-port",
        "ignore-named-ports",
        "ignore-namespace-selector",
        "ignore-ipblock-pods",
        "ignore-udp",
        "ignore-ipv6",
        "allow-own-namespace",
        "first-policy-only",
        "or-selectors",
        "drop-replies-udp",
        "stale-labels",
        "stale-policies",
        "cut-established",
        "service-port",
        "empty-service=NAMESPACE/SERVICE",
        "late-isolation=DURATION",
        "late-allows=DURATION",
        "masquerade",
        "drop-port=PORT/PROTOCOL",
    ];

    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>> {
        Some(match name {
            "enforce-nothing" => bare(Self::EnforceNothing, name, value),
            "ignore-ingress" => bare(Self::IgnoreIngress, name, value),
            "ignore-egress" => bare(Self::IgnoreEgress, name, value),
            "delay" => duration(value, "delay=8s").map(Self::Delay),
            "loss" => value.unwrap_or_default().parse().map(Self::Loss),
            "dead-path" => match value {
                None => Ok(Self::DeadPath(None)),
                Some(_) => {
                    nodes(value, "dead-path=node-1,node-2").map(|pair| Self::DeadPath(Some(pair)))
                }
            },
            "dead-way" => {
                nodes(value, "dead-way=node-1,node-2").map(|(from, to)| Self::DeadWay(from, to))
            }
            "one-way-loss" => pair(value, ',', "node and percentage", "one-way-loss=node-2,10%")
                .and_then(|(node, share)| Ok(Self::OneWayLoss(node, share.parse()?))),
            "dead-interface" => {
                let place = pair(value, '/', "namespace and pod", "dead-interface=shop/web");
                place.map(|(namespace, pod)| Self::DeadInterface { namespace, pod })
            }
            "reject" => bare(Self::Reject, name, value),
            "ignore-except" => bare(Self::IgnoreExcept, name, value),
            "ignore-end-port" => bare(Self::IgnoreEndPort, name, value),
            "ignore-named-ports" => bare(Self::IgnoreNamedPorts, name, value),
            "ignore-namespace-selector" => bare(Self::IgnoreNamespaceSelector, name, value),
            "ignore-ipblock-pods" => bare(Self::IgnoreIpBlockPods, name, value),
            "ignore-udp" => bare(Self::IgnoreUdp, name, value),
            "ignore-ipv6" => bare(Self::IgnoreIpv6, name, value),
            "allow-own-namespace" => bare(Self::AllowOwnNamespace, name, value),
            "first-policy-only" => bare(Self::FirstPolicyOnly, name, value),
            "or-selectors" => bare(Self::OrSelectors, name, value),
            "drop-replies-udp" => bare(Self::DropRepliesUdp, name, value),
            "stale-labels" => bare(Self::StaleLabels, name, value),
            "stale-policies" => bare(Self::StalePolicies, name, value),
            "cut-established" => bare(Self::CutEstablished, name, value),
            "service-port" => bare(Self::ServicePort, name, value),
            "empty-service" => {
                let place = pair(value, '/', "namespace and Service", "empty-service=shop/web");
                place.map(|(namespace, service)| Self::EmptyService { namespace, service })
            }
            "late-isolation" => duration(value, "late-isolation=2s").map(Self::LateIsolation),
            "late-allows" => duration(value, "late-allows=2s").map(Self::LateAllows),
            "masquerade" => bare(Self::Masquerade, name, value),
            "drop-port" => port(value),
            _ => return None,
        })
    }
}

/// A port and its transport.
fn port(value: Option<&str>) -> Result<NetworkFault, FaultError> {
    let (wanted, example) = ("a port and its protocol", "drop-port=5432/tcp");
    // A bare number would be a port of TCP.
    pair(value, '/', wanted, example)?;
    let given = value.unwrap_or_default();
    let transport = |protocol| match protocol {
        Protocol::Tcp => Some(Transport::Tcp),
        Protocol::Udp => Some(Transport::Udp),
        _ => None,
    };
    let port = given.parse::<Port>().ok();
    port.and_then(|port| Some(NetworkFault::DropPort(transport(port.protocol)?, port.number)))
        .ok_or_else(|| FaultError::Value { given: given.to_owned(), wanted, example })
}

/// Two nodes, which can't be the same.
fn nodes(value: Option<&str>, example: &'static str) -> Result<(String, String), FaultError> {
    let wanted = "two nodes";
    let (first, second) = pair(value, ',', wanted, example)?;
    if first == second || second.contains(',') {
        let given = value.unwrap_or_default().to_owned();
        return Err(FaultError::Value { given, wanted, example });
    }
    Ok((first, second))
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnforceNothing => f.write_str("enforce-nothing"),
            Self::IgnoreIngress => f.write_str("ignore-ingress"),
            Self::IgnoreEgress => f.write_str("ignore-egress"),
            Self::Delay(delay) => write!(f, "delay={}", write_duration(*delay)),
            Self::Loss(share) => write!(f, "loss={share}"),
            Self::DeadPath(None) => f.write_str("dead-path"),
            Self::DeadPath(Some((first, second))) => write!(f, "dead-path={first},{second}"),
            Self::DeadWay(from, to) => write!(f, "dead-way={from},{to}"),
            Self::OneWayLoss(node, share) => write!(f, "one-way-loss={node},{share}"),
            Self::DeadInterface { namespace, pod } => write!(f, "dead-interface={namespace}/{pod}"),
            Self::Reject => f.write_str("reject"),
            Self::IgnoreExcept => f.write_str("ignore-except"),
            Self::IgnoreEndPort => f.write_str("ignore-end-port"),
            Self::IgnoreNamedPorts => f.write_str("ignore-named-ports"),
            Self::IgnoreNamespaceSelector => f.write_str("ignore-namespace-selector"),
            Self::IgnoreIpBlockPods => f.write_str("ignore-ipblock-pods"),
            Self::IgnoreUdp => f.write_str("ignore-udp"),
            Self::IgnoreIpv6 => f.write_str("ignore-ipv6"),
            Self::AllowOwnNamespace => f.write_str("allow-own-namespace"),
            Self::FirstPolicyOnly => f.write_str("first-policy-only"),
            Self::OrSelectors => f.write_str("or-selectors"),
            Self::DropRepliesUdp => f.write_str("drop-replies-udp"),
            Self::StaleLabels => f.write_str("stale-labels"),
            Self::StalePolicies => f.write_str("stale-policies"),
            Self::CutEstablished => f.write_str("cut-established"),
            Self::ServicePort => f.write_str("service-port"),
            Self::EmptyService { namespace, service } => {
                write!(f, "empty-service={namespace}/{service}")
            }
            Self::LateIsolation(delay) => write!(f, "late-isolation={}", write_duration(*delay)),
            Self::LateAllows(delay) => write!(f, "late-allows={}", write_duration(*delay)),
            Self::Masquerade => f.write_str("masquerade"),
            Self::DropPort(transport, number) => {
                write!(f, "drop-port={number}/{}", transport.name().to_lowercase())
            }
        }
    }
}

impl FromStr for NetworkFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        read(text).unwrap_or_else(|| Err(FaultError::Name(text.to_owned())))
    }
}
