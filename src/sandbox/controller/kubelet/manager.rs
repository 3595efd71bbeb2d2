//! Gives every assigned pod a worker, and answers `exec` and `log` for them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tokio::{process::Child, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    address::Addresses,
    report::{Board, Report},
    status,
    worker::{Wired, Worker},
};
use crate::sandbox::{
    api::{
        object::{Object, now},
        resource::{NODES, PODS},
        runtime::{ExecError, LogLine, Runtime},
        store::Store,
    },
    controller::{names::Zone, namespace::create},
    layout,
    node::{Network, NodeSpec},
};

/// What all workers share.
pub(super) struct Shared {
    pub store: Arc<Store>,
    pub network: Network,
    pub addresses: Addresses,
    /// The version up to which the rules are in force on every node.
    pub applied: watch::Receiver<u64>,
    /// What the cluster's DNS knows.
    pub zone: watch::Receiver<Arc<Zone>>,
}

/// The kubelet of all nodes.
pub struct Kubelet {
    shared: Arc<Shared>,
    /// Each node's addresses.
    nodes: HashMap<String, Vec<IpAddr>>,
    pods: Mutex<HashMap<String, Handle>>,
    workers: TaskTracker,
}

/// What is known of a pod that has a worker.
struct Handle {
    updates: watch::Sender<Option<Arc<Value>>>,
    board: Arc<Board>,
    wired: Arc<Wired>,
}

impl Kubelet {
    /// A kubelet for nodes that are part of a network. Registers the nodes.
    pub fn new(
        store: Arc<Store>,
        network: Network,
        nodes: &[NodeSpec],
        applied: watch::Receiver<u64>,
        zone: watch::Receiver<Arc<Zone>>,
    ) -> Arc<Self> {
        for node in nodes {
            register(&store, node);
        }
        let ranges = nodes.iter().map(|node| (node.name.clone(), node.pod_cidrs.clone()));
        let addresses = Addresses::new(ranges);
        Arc::new(Self {
            shared: Arc::new(Shared { store, network, addresses, applied, zone }),
            nodes: nodes.iter().map(|node| (node.name.clone(), node.addresses.clone())).collect(),
            pods: Mutex::default(),
            workers: TaskTracker::new(),
        })
    }

    /// Runs pods until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let store = &self.shared.store;
        let signal = store.signal(|event| event.resource == &PODS);
        super::super::reconcile::reconcile(signal, cancel, || self.pass()).await;
    }

    /// Starts workers for new pods and tells the others what has changed.
    fn pass(&self) {
        let (pods, _) = self.shared.store.list(&PODS, None);
        let mut known = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone: Vec<String> = known.keys().cloned().collect();
        gone.sort_unstable();
        for pod in pods {
            let Some(host) = self.nodes.get(pod.text("/spec/nodeName")) else { continue };
            if let Ok(place) = gone.binary_search_by(|uid| uid.as_str().cmp(pod.uid())) {
                gone.remove(place);
            }
            match known.get(pod.uid()) {
                Some(handle) => {
                    handle.updates.send_if_modified(|now| {
                        let new = now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &pod));
                        if new {
                            *now = Some(Arc::clone(&pod));
                        }
                        new
                    });
                }
                None if matches!(pod.text("/status/phase"), "Succeeded" | "Failed") => {}
                None => {
                    let handle = self.start(Arc::clone(&pod), host.clone());
                    known.insert(pod.uid().to_owned(), handle);
                }
            }
        }
        for uid in gone {
            if let Some(handle) = known.remove(&uid) {
                handle.updates.send_replace(None);
            }
        }
    }

    fn start(&self, pod: Arc<Value>, host: Vec<IpAddr>) -> Handle {
        let count = pod.items("/spec/initContainers").len() + pod.items("/spec/containers").len();
        let board = Arc::new(Board::new(count));
        let wired = Arc::new(watch::Sender::new(None));
        let (updates, receiver) = watch::channel(Some(Arc::clone(&pod)));
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            pod: receiver,
            first: pod,
            host,
            board: Arc::clone(&board),
            wired: Arc::clone(&wired),
        };
        self.workers.spawn(worker.run());
        Handle { updates, board, wired }
    }

    /// What is known of a container of a pod.
    fn report(&self, pod: &Value, container: &str) -> Option<(Report, Arc<Wired>)> {
        let index = pod
            .items("/spec/initContainers")
            .iter()
            .chain(pod.items("/spec/containers"))
            .position(|spec| spec.text("/name") == container)?;
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = pods.get(pod.uid())?;
        Some((handle.board.reports().into_iter().nth(index)?, Arc::clone(&handle.wired)))
    }
}

/// Puts a node's object in the store.
fn register(store: &Store, node: &NodeSpec) {
    let name = &node.name;
    let object = json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": layout::architecture(),
        }},
        "spec": {"podCIDR": node.pod_cidrs.first(), "podCIDRs": node.pod_cidrs},
    });
    create(store, &NODES, "", object);
    store.write(|writer| {
        if let Some(object) = writer.get(&NODES, "", name) {
            let mut object = Value::clone(&object);
            object["status"] = status::node(name, &node.addresses, &now());
            writer.put(&NODES, object);
        }
    });
}

impl Runtime for Kubelet {
    fn exec(&self, pod: &Value, container: &str, command: &[String]) -> Result<Child, ExecError> {
        let not_running = || ExecError::NotRunning(container.to_owned());
        let (report, wired) = self.report(pod, container).ok_or_else(not_running)?;
        let running = report.running.ok_or_else(not_running)?;
        let network = wired.borrow().clone().ok_or_else(not_running)?;
        let (program, process) = &*running;
        let process = program.exec(process, command).ok_or_else(|| {
            ExecError::NoSuchProgram(command.first().cloned().unwrap_or_default())
        })?;
        network.spawn(&process).map_err(ExecError::Start)
    }

    fn log(&self, pod: &Value, container: &str, previous: bool) -> Option<Vec<LogLine>> {
        let (report, _) = self.report(pod, container)?;
        let log = if previous { report.previous_log } else { report.log };
        log.map(|log| log.lines())
    }
}
