//! Nodes: what becomes of one whose kubelet falls silent, and of its pods.
//!
//! ```text
//! no heartbeat for a while ─▶ conditions Unknown ─▶ taints ─▶ pods unready
//!                                                        └─▶ evicted, each after what
//!                                                            it tolerates
//! ```
//!
//! The heartbeat is the node's Lease. How long it may fail is the sandbox's own choice: a
//! real cluster waits 50 s (40 s in older ones), which is long for a test.

mod evict;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    events::Recorder,
    worker::{self, Again, Controller, Key},
    workload::{Hands, has_ended},
};
use crate::sandbox::api::{
    conditions,
    delete::{self, DeleteOptions},
    failure::Failure,
    object::{Object, now},
    resource::{LEASES, NODES, PODS, Resource},
    store::{Change, Event, Store},
    write::Place,
};

/// How long a node may miss its heartbeat: two and a half of the kubelet's periods.
const GRACE: Duration = Duration::from_secs(12);
/// How often silent and tainted nodes are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// How long pods of a node that isn't there any more are left alone.
const QUARANTINE: Duration = Duration::from_secs(10);
/// Where the heartbeats are.
const HEARTBEATS: &str = "kube-node-lease";

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// What says that a node is not well, by condition, status and taint.
const TROUBLES: [(&str, &str, &str, &str); 7] = [
    ("Ready", "False", NOT_READY, "NoSchedule"),
    ("Ready", "False", NOT_READY, "NoExecute"),
    ("Ready", "Unknown", UNREACHABLE, "NoSchedule"),
    ("Ready", "Unknown", UNREACHABLE, "NoExecute"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure", "NoSchedule"),
];
/// The taint of a node that takes no new pods.
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// The conditions that a kubelet reports, with what they say of a healthy node.
const REPORTED: [(&str, bool, &str, &str); 4] = [
    (
        "MemoryPressure",
        false,
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", true, "KubeletReady", "kubelet is posting ready status"),
];

/// Watches over the nodes until cancelled.
pub async fn watch_nodes(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let hands = Hands { store: Arc::clone(&store), events: events.of("node-controller", "") };
    let evictions = events.of("taint-eviction-controller", "");
    let nodes = Nodes { hands, evictions, known: Mutex::default() };
    worker::run(store, nodes, cancel).await;
}

struct Nodes {
    hands: Hands,
    evictions: Recorder,
    known: Mutex<HashMap<String, Known>>,
}

/// What is remembered of a node.
#[derive(Default)]
struct Known {
    /// The heartbeat that was seen last, and for how long; `None` before the first.
    heartbeat: Option<(String, Duration)>,
    /// When the node was looked at last.
    looked: Option<Instant>,
    /// Since when a taint has been there.
    taints: HashMap<(String, String), Instant>,
    /// Since when the node is missing.
    missing: Option<Instant>,
}

impl Controller for Nodes {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&NODES, &PODS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        let of = |name: &str| Key::Object(String::new(), name.to_owned());
        let beats = event.resource == &LEASES && event.object.namespace() == HEARTBEATS;
        if beats || event.resource == &NODES {
            add(of(event.object.name()));
        } else if event.resource == &PODS && event.change != Change::Deleted {
            let node = event.object["spec"]["nodeName"].as_str().unwrap_or_default();
            let before = event.previous.as_ref();
            let is_new = before.is_none_or(|pod| {
                pod["spec"]["nodeName"] != event.object["spec"]["nodeName"]
                    || pod["spec"]["tolerations"] != event.object["spec"]["tolerations"]
            });
            if is_new && !node.is_empty() {
                add(of(node));
            }
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let (Key::Object(_, name) | Key::Orphan(_, name)) = key;
        let Some(node) = self.hands.store.get(&NODES, "", name) else {
            return Ok(self.missing(name));
        };
        let silent = self.is_silent(&node);
        let node = self.health(node, silent);
        let node = self.taint(node);
        let again = self.evict(&node);
        Ok(Some(again.unwrap_or(PERIOD)))
    }
}

impl Nodes {
    fn with<R>(&self, node: &str, change: impl FnOnce(&mut Known) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.entry(node.to_owned()).or_default())
    }

    /// Whether a node has missed its heartbeat for too long. One that never had any is
    /// nobody's to judge.
    fn is_silent(&self, node: &Value) -> bool {
        let lease = self.hands.store.get(&LEASES, HEARTBEATS, node.name());
        let renewed = lease.map(|lease| lease.text("/spec/renewTime").to_owned());
        self.with(node.name(), |known| {
            known.missing = None;
            // A pause of this whole process is nobody's silence.
            let passed = known.looked.map_or(Duration::ZERO, |looked| looked.elapsed());
            known.looked = Some(Instant::now());
            let passed = passed.min(2 * PERIOD);
            match (&mut known.heartbeat, renewed) {
                (Some((last, silence)), renewed) => {
                    *silence += passed;
                    if let Some(renewed) = renewed.filter(|renewed| renewed != last) {
                        *last = renewed;
                        *silence = Duration::ZERO;
                    }
                    *silence > GRACE
                }
                (none, Some(renewed)) => {
                    *none = Some((renewed, Duration::ZERO));
                    false
                }
                (None, None) => false,
            }
        })
    }

    /// Makes the conditions of a silent node Unknown, and those of one that is heard again
    /// what they were.
    fn health(&self, node: Arc<Value>, silent: bool) -> Arc<Value> {
        let unknown = |node: &Value| {
            let list = node.items("/status/conditions").iter();
            list.clone().any(|one| one["type"] == "Ready" && one["reason"] == "NodeStatusUnknown")
        };
        if silent == unknown(&node) {
            return node;
        }
        let changed = self.hands.store.write(|writer| {
            let mut object = Value::clone(&*writer.get(&NODES, "", node.name())?);
            for (kind, holds, reason, text) in REPORTED {
                if silent {
                    let text = "Kubelet stopped posting node status.";
                    conditions::set(&mut object, kind, false, "NodeStatusUnknown", text);
                    let list = object.pointer_mut("/status/conditions");
                    let list = list.and_then(Value::as_array_mut).into_iter().flatten();
                    for one in list.filter(|one| one["type"] == kind) {
                        one["status"] = "Unknown".into();
                        one["lastTransitionTime"] = now().into();
                    }
                } else {
                    conditions::set(&mut object, kind, holds, reason, text);
                }
            }
            Some(writer.put(&NODES, object))
        });
        let (reason, status) =
            if silent { ("NodeNotReady", "NodeNotReady") } else { ("NodeReady", "NodeReady") };
        let text = format!("Node {} status is now: {status}", node.name());
        self.hands.events.normal(&node, reason, text);
        if silent {
            self.mark_pods(&node);
        }
        changed.unwrap_or(node)
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let mut pods = self.hands.store.list(&PODS, None).0;
        pods.retain(|pod| pod["spec"]["nodeName"] == node && !has_ended(pod));
        pods
    }

    /// Nobody knows whether the pods of a silent node are ready: they count as not.
    fn mark_pods(&self, node: &Value) {
        for pod in self.pods_on(node.name()) {
            if !conditions::holds(&pod, "Ready") {
                continue;
            }
            self.hands.events.warning(&pod, "NodeNotReady", "Node is not ready");
            self.hands.store.write(|writer| {
                let now = writer.get(&PODS, pod.namespace(), pod.name());
                if let Some(now) = now.filter(|now| now.uid() == pod.uid()) {
                    let mut marked = Value::clone(&now);
                    conditions::set(&mut marked, "Ready", false, "", "");
                    writer.put(&PODS, marked);
                }
            });
        }
    }

    /// Gives a node the taints of its conditions and of being cordoned, and takes off those
    /// that are not due any more.
    fn taint(&self, node: Arc<Value>) -> Arc<Value> {
        let is = |kind: &str, status: &str| {
            let list = node.items("/status/conditions").iter();
            list.clone().any(|one| one["type"] == kind && one["status"] == status)
        };
        let cordoned = node["spec"]["unschedulable"] == true;
        let mut wanted: Vec<_> = TROUBLES
            .iter()
            .map(|(kind, status, key, effect)| (*key, *effect, is(kind, status)))
            .collect();
        wanted.push((CORDONED, "NoSchedule", cordoned));
        let changed = self.hands.store.write(|writer| {
            let mut object = Value::clone(&*writer.get(&NODES, "", node.name())?);
            let mut taints = object.items("/spec/taints").to_vec();
            for (key, effect, due) in wanted {
                let is = |taint: &Value| taint["key"] == key && taint["effect"] == effect;
                if !due {
                    taints.retain(|taint| !is(taint));
                } else if !taints.iter().any(is) {
                    taints.push(json!({"key": key, "effect": effect, "timeAdded": now()}));
                }
            }
            let spec = object.section_mut("spec");
            if taints.is_empty() {
                spec.remove("taints");
            } else {
                spec.insert("taints".into(), taints.into());
            }
            Some(writer.put(&NODES, object))
        });
        changed.unwrap_or(node)
    }

    /// Deletes the pods of a node that isn't there, after a while: it may come back.
    fn missing(&self, name: &str) -> Again {
        let pods = self.pods_on(name);
        if pods.is_empty() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            return None;
        }
        let since = self.with(name, |known| *known.missing.get_or_insert_with(Instant::now));
        let left = QUARANTINE.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        for pod in pods {
            let place = Place { resource: &PODS, namespace: pod.namespace(), name: pod.name() };
            let options = DeleteOptions {
                grace: Some(0),
                uid: Some(pod.uid().to_owned()),
                ..DeleteOptions::default()
            };
            // That it is gone by now is what is wanted.
            let _ = delete::delete(&self.hands.store, place, &options);
        }
        None
    }
}
