//! The fault `dead-interface`: a pod's cable is pulled as long as the fault is there.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::sandbox::{
    api::{
        object::Object,
        resource::{FAULTS, PODS},
        store::{Event, Store},
    },
    fault::NetworkFault,
    node::{Network, PodNetwork},
};

/// Takes interfaces down and up again as faults come and go, until cancelled.
pub async fn pull_cables(store: Arc<Store>, network: Network, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        [&FAULTS, &PODS].contains(&event.resource)
    }
    let signal = store.signal(wanted);
    let mut dead = BTreeMap::<String, PodNetwork>::new();
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        let named = victims(&store);
        for (uid, address) in &named {
            if dead.contains_key(uid) {
                continue;
            }
            // One that isn't wired yet is met when it is: its status changes then.
            let Some(pod) = network.pod_at(*address) else { continue };
            match network.set_interface(&pod, false).await {
                Ok(()) => _ = dead.insert(uid.clone(), pod),
                Err(error) => tracing::warn!(%error, "take a pod's interface down"),
            }
        }
        let healed: Vec<_> = dead.keys().filter(|uid| !named.contains_key(*uid)).cloned().collect();
        for uid in healed {
            let Some(pod) = dead.remove(&uid) else { continue };
            // It may be gone, and its address another's.
            let there = network.pod_at(pod.address()).is_some_and(|now| now.is(&pod));
            if there && let Err(error) = network.set_interface(&pod, true).await {
                tracing::warn!(%error, "take a pod's interface up");
            }
        }
    }
}

/// The pods that faults name, by their uid, with an address.
fn victims(store: &Store) -> BTreeMap<String, IpAddr> {
    let (faults, _) = store.list(&FAULTS, None);
    let named = NetworkFault::among(&faults).into_iter().filter_map(|fault| match fault {
        NetworkFault::DeadInterface { namespace, pod } => store.get(&PODS, &namespace, &pod),
        _ => None,
    });
    let own = named.filter(|pod| pod.pointer("/spec/hostNetwork") != Some(&true.into()));
    own.filter_map(|pod| Some((pod.uid().to_owned(), pod.text("/status/podIP").parse().ok()?)))
        .collect()
}
