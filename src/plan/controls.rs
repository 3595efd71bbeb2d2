//! The control pods of each node in use, and the namespace that they live in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ControlNamespace, ControlPods, PlannedPod, PodIndex, Role,
    names::{Names, slug},
};
use crate::model::{IpProtocol, Port, Protocol, RunId};

/// The port on which every control pod listens, over each transport that it has.
pub const CONTROL_PORT: u16 = 8080;

/// The label that says what a control pod is for; the canary policies select by it.
const ROLE_LABEL: &str = "netproof.dev/control";
/// The label that says which node it is for.
const NODE_LABEL: &str = "netproof.dev/node";

/// The label that says which run it is for, in a namespace that several runs may share: no
/// run's canary policy may isolate another's pods. In a namespace of the run's own it would
/// only cost the CNI an identity.
const RUN_LABEL: &str = "netproof.dev/control-run";

/// Appends the control pods of these nodes, for cases over these transports.
pub(super) fn add(
    run: &RunId,
    nodes: &[String],
    namespace: &ControlNamespace,
    transports: &BTreeSet<IpProtocol>,
    names: &mut Names,
    pods: &mut Vec<PlannedPod>,
) -> BTreeMap<String, ControlPods> {
    let mut controls = BTreeMap::new();
    let own = ports(transports);
    let all = with_ports_of(pods, own.clone());
    for (number, node) in nodes.iter().enumerate() {
        let mut add = |word: &str, role, ports: &BTreeMap<String, Port>| {
            let run = (!namespace.created).then(|| (RUN_LABEL, run.to_string()));
            let labels = [(ROLE_LABEL, word.to_owned()), (NODE_LABEL, node_value(node, number))]
                .into_iter()
                .chain(run);
            pods.push(PlannedPod {
                name: names.give(&format!("{word}-{node}"), "-0"),
                namespace: namespace.name.clone(),
                namespace_created: namespace.created,
                labels: labels.map(|(key, value)| (key.to_owned(), value)).collect(),
                annotations: BTreeMap::new(),
                service_account: None,
                ports: ports.clone(),
                pings: transports.contains(&IpProtocol::Icmp),
                node: node.clone(),
                role,
            });
            PodIndex(pods.len() - 1)
        };
        let of_node = ControlPods {
            witness: add("witness", Role::Witness, &all),
            canary_ingress: add("canary-ingress", Role::CanaryIngress, &own),
            // On one node it is the other end of the witness's ways: nobody isolates it
            // for ingress.
            canary_egress: add("canary-egress", Role::CanaryEgress, &all),
            marker: add("marker", Role::Marker, &own),
        };
        controls.insert(node.clone(), of_node);
    }
    controls
}

/// The node's name where it is a label value; a short one with the node's number else.
fn node_value(node: &str, number: usize) -> String {
    if node.len() <= 63 { node.to_owned() } else { format!("{}-{number}", slug(node, 40)) }
}

/// TCP and UDP always; SCTP, which many kernels lack, only where some case is about it.
fn ports(transports: &BTreeSet<IpProtocol>) -> BTreeMap<String, Port> {
    let sctp = transports.contains(&IpProtocol::Sctp).then_some(Protocol::Sctp);
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .chain(sctp)
        .map(|protocol| (protocol.name().to_owned(), Port { number: CONTROL_PORT, protocol }))
        .collect()
}

/// And every port that one of these pods listens on: a packet filter that is no policy may
/// let the one port through and not the other.
fn with_ports_of(pods: &[PlannedPod], own: BTreeMap<String, Port>) -> BTreeMap<String, Port> {
    let mut ports = own;
    for port in pods.iter().flat_map(|pod| pod.ports.values()).map(|port| port.bare()) {
        if port != Port::ICMP && !ports.values().any(|known| *known == port) {
            ports.insert(format!("{}-{}", port.number, port.protocol), port);
        }
    }
    ports
}
