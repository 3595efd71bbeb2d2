//! The nodes' heartbeats: a Lease for each in `kube-node-lease`, renewed while its kubelet
//! is there.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{health::Health, manager::Shared};
use crate::sandbox::{
    api::{
        object::Object,
        resource::{LEASES, NODES},
    },
    controller::namespace::create,
};

const NAMESPACE: &str = "kube-node-lease";
/// How often a kubelet renews its Lease.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a Lease holds, as the kubelet's configuration has it by default.
const DURATION: u64 = 40;

/// Renews the Leases of all nodes that answer, until cancelled.
pub(super) async fn renew(shared: Arc<Shared>, nodes: Vec<String>, cancel: CancellationToken) {
    let mut due = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = cancel.cancelled() => return,
        }
        for node in nodes.iter().filter(|node| shared.nodes.now(node) == Health::Up) {
            renew_one(&shared, node);
        }
    }
}

fn renew_one(shared: &Shared, node: &str) {
    let store = &shared.store;
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let renewed = store.write(|writer| {
        let lease = writer.get(&LEASES, NAMESPACE, node)?;
        let mut lease = Value::clone(&lease);
        lease.section_mut("spec").insert("renewTime".into(), time.clone().into());
        Some(writer.put(&LEASES, lease))
    });
    if renewed.is_some() {
        return;
    }
    // A node that was deleted gets no Lease; the garbage collector takes the old one.
    let Some(object) = store.get(&NODES, "", node) else { return };
    let lease = json!({
        "metadata": {"name": node, "ownerReferences": [{
            "apiVersion": "v1", "kind": "Node", "name": node, "uid": object.uid(),
        }]},
        "spec": {
            "holderIdentity": node, "leaseDurationSeconds": DURATION, "renewTime": time,
        },
    });
    create(store, &LEASES, NAMESPACE, lease);
}
