//! Gives every assigned pod a worker, and answers `exec` and `log` for them.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Child, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    address::Addresses,
    dialer::Dialer,
    health::{Health, Nodes},
    lease, localhost,
    program::Program,
    report::{Board, Report},
    status,
    worker::{Wired, Worker},
};
use crate::sandbox::{
    api::{
        object::{Object, now},
        resource::{FAULTS, NODES, PODS, SERVICES},
        runtime::{ExecError, LogLine, NoPort, Runtime},
        store::Store,
    },
    controller::{events::Recorder, names::Zone, namespace::create},
    layout,
    node::{Network, NodeSpec, PodNetwork},
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
    /// Changes with any Service.
    pub services: watch::Receiver<()>,
    pub dialer: Dialer,
    pub nodes: Nodes,
    pub events: Recorder,
}

/// The kubelet of all nodes.
pub struct Kubelet {
    shared: Arc<Shared>,
    nodes: HashMap<String, NodeSpec>,
    services: watch::Sender<()>,
    pods: Mutex<HashMap<String, Handle>>,
    workers: TaskTracker,
}

/// What is known of a pod that has a worker.
struct Handle {
    node: String,
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
        events: Recorder,
    ) -> Arc<Self> {
        for node in nodes {
            register(&store, node);
        }
        let ranges = nodes.iter().map(|node| (node.name.clone(), node.pod_cidrs.clone()));
        let addresses = Addresses::new(ranges);
        let (services, changed) = watch::channel(());
        let shared = Shared {
            store,
            dialer: Dialer::new(network.clone()),
            network,
            addresses,
            applied,
            zone,
            services: changed,
            nodes: Nodes::new(nodes.iter().map(|node| node.name.clone())),
            events,
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            nodes: nodes.iter().map(|node| (node.name.clone(), node.clone())).collect(),
            services,
            pods: Mutex::default(),
            workers: TaskTracker::new(),
        })
    }

    /// Runs pods until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let store = &self.shared.store;
        let pods = store.signal(|event| event.resource == &PODS);
        let services = store.signal(|event| event.resource == &SERVICES);
        let faults = store.signal(|event| event.resource == &FAULTS);
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        self.workers.spawn(lease::renew(Arc::clone(&self.shared), names, cancel.clone()));
        loop {
            tokio::select! {
                () = pods.notified() => self.pass(),
                () = services.notified() => self.services.send_replace(()),
                () = faults.notified() => {
                    self.update_health().await;
                    self.pass();
                }
                () = cancel.cancelled() => return,
            }
        }
    }

    /// Lets nodes die, fall silent or come back, as the faults say.
    async fn update_health(&self) {
        let (faults, _) = self.shared.store.list(&FAULTS, None);
        for (name, health) in self.shared.nodes.update(faults.iter().map(|fault| &**fault)) {
            tracing::info!(node = name, ?health, "a node's health");
            let Some(node) = self.nodes.get(&name) else { continue };
            if let Err(error) = self.shared.network.cut_off(node, health == Health::Dead).await {
                tracing::warn!(%error, node = name, "cut a node off");
            }
        }
    }

    /// Starts workers for new pods and tells the others what has changed.
    fn pass(&self) {
        let (pods, _) = self.shared.store.list(&PODS, None);
        let mut known = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashSet::with_capacity(pods.len());
        for pod in &pods {
            let node = pod.text("/spec/nodeName");
            let Some(NodeSpec { addresses: host, .. }) = self.nodes.get(node) else { continue };
            let health = self.shared.nodes.now(node);
            seen.insert(pod.uid());
            match known.get(pod.uid()) {
                // A silent kubelet hears nothing.
                Some(_) if health == Health::Silent => {}
                Some(handle) => {
                    handle.updates.send_if_modified(|now| {
                        let new = now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, pod));
                        if new {
                            *now = Some(Arc::clone(pod));
                        }
                        new
                    });
                }
                None if health != Health::Up => {}
                None if matches!(pod.text("/status/phase"), "Succeeded" | "Failed") => {}
                None => {
                    let handle = self.start(Arc::clone(pod), host.clone());
                    known.insert(pod.uid().to_owned(), handle);
                }
            }
        }
        known.retain(|uid, handle| {
            let silent = || self.shared.nodes.now(&handle.node) == Health::Silent;
            let stays = seen.contains(uid.as_str()) || silent();
            if !stays {
                handle.updates.send_replace(None);
            }
            stays
        });
    }

    fn start(&self, pod: Arc<Value>, host: Vec<IpAddr>) -> Handle {
        let count = pod.items("/spec/initContainers").len() + pod.items("/spec/containers").len();
        let board = Arc::new(Board::new(count));
        let wired = Arc::new(watch::Sender::new(None));
        let (updates, receiver) = watch::channel(Some(Arc::clone(&pod)));
        let node = pod.text("/spec/nodeName").to_owned();
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            pod: receiver,
            first: pod,
            host,
            board: Arc::clone(&board),
            wired: Arc::clone(&wired),
        };
        self.workers.spawn(worker.run());
        Handle { node, updates, board, wired }
    }

    /// A pod's network, while it has one.
    fn wired(&self, pod: &Value) -> Option<PodNetwork> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(pod.uid())?.wired.borrow().clone()
    }

    /// What is known of a container of a pod.
    fn report(&self, pod: &Value, container: &str) -> Option<(Report, Arc<Wired>)> {
        let index = pod
            .items("/spec/initContainers")
            .iter()
            .chain(pod.items("/spec/containers"))
            .chain(pod.items("/spec/ephemeralContainers"))
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
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": layout::architecture(),
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
        if let Some(address) = self.unreachable(pod) {
            return Err(ExecError::Unreachable(address));
        }
        let not_running = || ExecError::NotRunning(container.to_owned());
        let (report, wired) = self.report(pod, container).ok_or_else(not_running)?;
        let running = report.running.ok_or_else(not_running)?;
        let network = wired.borrow().clone().ok_or_else(not_running)?;
        let (program, process) = &*running;
        let process = program.exec(process, command).ok_or_else(|| {
            let first = command.first().cloned().unwrap_or_default();
            match program {
                Program::StandIn | Program::Command => ExecError::StandIn(first),
                _ => ExecError::NoSuchProgram(first),
            }
        })?;
        network.spawn(&process).map_err(ExecError::Start)
    }

    fn connect(&self, pod: &Value, port: u16) -> BoxFuture<'static, Result<TcpStream, NoPort>> {
        let network = self.wired(pod);
        async move { localhost::connect(network.ok_or(NoPort::NotWired)?, port).await }.boxed()
    }

    fn is_wired(&self, pod: &Value) -> bool {
        self.wired(pod).is_some()
    }

    fn unreachable(&self, pod: &Value) -> Option<IpAddr> {
        let node = self.nodes.get(pod.text("/spec/nodeName"))?;
        let silent = self.shared.nodes.now(&node.name) != Health::Up;
        node.addresses.first().copied().filter(|_| silent)
    }

    fn follow(
        &self,
        pod: &Value,
        container: &str,
    ) -> Option<(Vec<LogLine>, BoxStream<'static, LogLine>)> {
        let (report, _) = self.report(pod, container)?;
        report.log.map(|log| log.stream())
    }

    fn log(&self, pod: &Value, container: &str, previous: bool) -> Option<Vec<LogLine>> {
        let (report, _) = self.report(pod, container)?;
        let log = if previous { report.previous_log } else { report.log };
        log.map(|log| log.lines())
    }
}
