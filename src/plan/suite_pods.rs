//! The pods that a suite's cases need.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlannedPod, PodIndex, Role, identity::Identities, suite::Shared};
use crate::suite::Suite;

/// Adds the needed pods; tells where each identity's pod stands in the plan.
pub(super) fn add_pods(
    identities: &Identities<'_>,
    needed: &BTreeSet<usize>,
    suite: &Suite,
    namespaces: &BTreeMap<String, String>,
    shared: &mut Shared<'_>,
) -> BTreeMap<usize, PodIndex> {
    let mut index = BTreeMap::new();
    for &number in needed {
        let identity = &identities.all[number];
        let peer = identity.peer;
        let first = identity.names.first().copied().unwrap_or_default();
        index.insert(number, PodIndex(shared.pods.len()));
        shared.pods.push(PlannedPod {
            name: shared.names.give(first, "-0"),
            namespace: cluster_name(&peer.namespace, namespaces),
            namespace_created: suite.setup.namespaces.contains_key(&peer.namespace),
            labels: peer.labels.clone(),
            annotations: peer.annotations.clone(),
            service_account: peer.service_account.clone(),
            ports: identity.ports.clone(),
            pings: false,
            node: identity.node.clone(),
            role: Role::Peer {
                names: identity.names.iter().map(|&name| name.to_owned()).collect(),
            },
        });
    }
    index
}

/// Adds a copy of a pod on another node.
pub(super) fn add_stand_in(of: PodIndex, node: &str, shared: &mut Shared<'_>) -> PodIndex {
    add_copy(of, "stand-in", node, Role::StandIn { of }, shared)
}

/// Adds a copy of a pod that is launched later.
pub(super) fn add_newcomer(of: PodIndex, shared: &mut Shared<'_>) -> PodIndex {
    let node = shared.pods[of.0].node.clone();
    add_copy(of, "newcomer", &node, Role::Newcomer { of }, shared)
}

fn add_copy(of: PodIndex, word: &str, node: &str, role: Role, shared: &mut Shared<'_>) -> PodIndex {
    let original = &shared.pods[of.0];
    let first = match &original.role {
        Role::Peer { names } => names.first().map_or("peer", String::as_str),
        _ => "peer",
    };
    let name = shared.names.give(&format!("{first}-{word}"), "-0");
    let pod = PlannedPod { name, node: node.to_owned(), role, ..original.clone() };
    shared.pods.push(pod);
    PodIndex(shared.pods.len() - 1)
}

/// What a namespace is called in the cluster.
pub(super) fn cluster_name(namespace: &str, namespaces: &BTreeMap<String, String>) -> String {
    namespaces.get(namespace).map_or(namespace, String::as_str).to_owned()
}
