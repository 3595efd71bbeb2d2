//! The control pods of each node in use, and the namespace that they live in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ControlNamespace, ControlPods, PlannedPod, PodIndex, Role,
    names::{Names, slug},
};
use crate::model::{IpProtocol, Port, Protocol, RunId};

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
    for (number, node) in nodes.iter().enumerate() {
        let mut add = |word: &str, role| {
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
                ports: ports(transports),
                pings: transports.contains(&IpProtocol::Icmp),
                node: node.clone(),
                role,
            });
            PodIndex(pods.len() - 1)
        };
        let of_node = ControlPods {
            witness: add("witness", Role::Witness),
            canary_ingress: add("canary-ingress", Role::CanaryIngress),
            canary_egress: add("canary-egress", Role::CanaryEgress),
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
        .map(|protocol| (protocol.name().to_owned(), Port { number: 8080, protocol }))
        .collect()
}
