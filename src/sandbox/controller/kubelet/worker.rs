//! The life of one pod, from its node's point of view.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    container::{Container, DEFAULT_GRACE, Kind},
    health::Health,
    manager::Shared,
    mesh,
    program::Program,
    report::{Board, State},
    status::{self, Facts},
};
use crate::sandbox::{
    api::{
        delete::{self, DeleteOptions},
        object::{Object, now, seconds},
        resource::PODS,
        write::Place,
    },
    node::{Error, PodNetwork, PodSettings},
};

/// How soon something is tried again that the system refused.
const RETRY: Duration = Duration::from_secs(1);

/// The pod's network as soon as it has one, for `exec`.
pub(super) type Wired = watch::Sender<Option<PodNetwork>>;

/// What a pod has of its node.
#[derive(Default)]
struct Held {
    addresses: Option<Vec<IpAddr>>,
    network: Option<PodNetwork>,
}

/// Takes one pod from its assignment to its end.
pub(super) struct Worker {
    pub shared: Arc<Shared>,
    /// The pod as it is now; `None` once it is no more.
    pub pod: watch::Receiver<Option<Arc<Value>>>,
    /// The pod as it was assigned.
    pub first: Arc<Value>,
    /// Its node's addresses.
    pub host: Vec<IpAddr>,
    pub board: Arc<Board>,
    pub wired: Arc<Wired>,
}

impl Worker {
    /// Runs until the pod is gone and nothing of it is left. If its node dies the pod lives
    /// once more when the node is back.
    pub(super) async fn run(mut self) {
        let node = self.first.text("/spec/nodeName").to_owned();
        let mut health = self.shared.nodes.watch(&node);
        let (mut held, start) = (Held::default(), now());
        loop {
            let mut dying = health.clone();
            tokio::select! {
                biased;
                _ = dying.wait_for(|health| *health == Health::Dead) => {}
                () = self.live(&node, &start, &mut held) => break,
            }
            // With the future above all of its processes were dropped, and so killed.
            self.wired.send_replace(None);
            self.board.lose(self.first.text("/spec/restartPolicy"));
            self.leave(&node, &mut held).await;
            tokio::select! {
                _ = health.wait_for(|health| *health != Health::Dead) => {}
                _ = self.pod.wait_for(Option::is_none) => return,
            }
        }
        self.leave(&node, &mut held).await;
        // A pod that has ended by itself stays until it is deleted.
        _ = self.pod.wait_for(Option::is_none).await;
    }

    /// The pod's life on a node that lives.
    ///
    /// The rules come before the network, so that the pod is never without them; they go
    /// after it. Only then may the address be somebody else's.
    async fn live(&mut self, node: &str, start: &str, held: &mut Held) {
        let start = start.to_owned();
        let mut facts = Facts { host: self.host.clone(), start, ..Facts::default() };
        self.volumes(node, &facts).await;
        held.addresses = self.addresses(node, &mut facts).await;
        facts.addresses = held.addresses.clone().unwrap_or_default();
        if let Some(addresses) = held.addresses.clone()
            && self.rules_in_force(&facts).await
            && let Some(network) = self.network(node, &addresses, &mut facts).await
        {
            held.network = Some(network.clone());
            facts.wired = true;
            self.wired.send_replace(Some(network.clone()));
            self.containers(&network, &mut facts).await;
            self.wired.send_replace(None);
            self.unwire(held).await;
        }
        self.finish();
    }

    async fn unwire(&self, held: &mut Held) {
        if let Some(network) = held.network.take()
            && let Err(error) = self.shared.network.remove_pod(&network).await
        {
            tracing::warn!(%error, pod = self.first.name(), "remove the pod's network");
        }
    }

    /// Gives back what is left of what the pod had of its node.
    async fn leave(&self, node: &str, held: &mut Held) {
        self.unwire(held).await;
        if let Some(addresses) = held.addresses.take() {
            self.shared.addresses.give_back(node, &addresses);
        }
    }

    /// Writes the pod's status, unless the kubelet is silent. Gives its version.
    pub(super) fn write(&self, facts: &Facts) -> Option<u64> {
        if self.shared.nodes.now(self.first.text("/spec/nodeName")) == Health::Silent {
            return None;
        }
        status::write(&self.shared.store, &self.first, facts, &self.board.reports())
    }

    /// Whether the pod is to end, or already no more.
    pub(super) fn is_deleting(&self) -> bool {
        is_ending(&self.pod.borrow())
    }

    fn shares_its_nodes_network(&self) -> bool {
        self.first.pointer("/spec/hostNetwork") == Some(&Value::Bool(true))
    }

    /// Takes an address of each family, or none if the pod is deleted before they are free.
    async fn addresses(&mut self, node: &str, facts: &mut Facts) -> Option<Vec<IpAddr>> {
        if self.shares_its_nodes_network() {
            return Some(self.host.clone());
        }
        while !self.is_deleting() {
            match self.shared.addresses.take(node) {
                Some(addresses) => return Some(addresses),
                None => self.problem("the node has no free address".to_owned(), facts).await,
            }
        }
        None
    }

    /// Makes the network, or none if the pod is deleted meanwhile.
    async fn network(
        &mut self,
        node: &str,
        addresses: &[IpAddr],
        facts: &mut Facts,
    ) -> Option<PodNetwork> {
        let settings = settings(&self.first);
        while !self.is_deleting() {
            let made = if self.shares_its_nodes_network() {
                self.shared.network.host_network(node)
            } else {
                self.shared.network.add_pod(node, addresses, &settings).await
            };
            match made {
                Ok(network) => match self.lead_to_proxy(&network, addresses).await {
                    Ok(()) => return Some(network),
                    Err(error) => {
                        // It must not run past its mesh.
                        let _ = self.shared.network.remove_pod(&network).await;
                        self.problem(error.to_string(), facts).await;
                    }
                },
                Err(error) => self.problem(error.to_string(), facts).await,
            }
        }
        None
    }

    /// Puts the proxy that a mesh has put into the pod into the way of its connections.
    async fn lead_to_proxy(&self, network: &PodNetwork, own: &[IpAddr]) -> Result<(), Error> {
        match mesh::redirect(&self.first, own) {
            Some(redirect) => self.shared.network.redirect(network, &redirect).await,
            None => Ok(()),
        }
    }

    /// Tells what the system refused, and waits until it may be tried again.
    async fn problem(&mut self, problem: String, facts: &mut Facts) {
        tracing::warn!(problem, pod = self.first.name(), "make the pod's network");
        facts.problem = Some(problem);
        self.write(facts);
        facts.problem = None;
        tokio::select! {
            () = sleep(RETRY) => {}
            _ = self.pod.wait_for(is_ending) => {}
        }
    }

    /// Publishes the address and waits until every node has the rules for it. Says whether
    /// the pod is still to run.
    async fn rules_in_force(&mut self, facts: &Facts) -> bool {
        let Some(version) = self.write(facts) else { return false };
        let mut applied = self.shared.applied.clone();
        tokio::select! {
            reached = applied.wait_for(|applied| *applied >= version) => reached.is_ok(),
            _ = self.pod.wait_for(is_ending) => false,
        }
    }

    /// Runs the containers until all are over.
    async fn containers(&mut self, network: &PodNetwork, facts: &mut Facts) {
        let (stop, stopped) = watch::channel(None);
        let (shared, board) = (Arc::clone(&self.shared), Arc::clone(&self.board));
        let events = shared.events.of("kubelet", network.node());
        let container = |pod: &Arc<Value>, index: usize, spec: &Value, kind: Kind| Container {
            shared: Arc::clone(&shared),
            pod: Arc::clone(pod),
            spec: spec.clone(),
            index,
            kind,
            address: network.address(),
            network: network.clone(),
            board: Arc::clone(&board),
            stop: stopped.clone(),
            events: events.clone(),
        };
        let first = Arc::clone(&self.first);
        let inits = first.items("/spec/initContainers").len();
        let own = inits..inits + first.items("/spec/containers").len();
        let lists = [("/spec/initContainers", Kind::Init), ("/spec/containers", Kind::Own)];
        let specs = lists
            .iter()
            .flat_map(|(list, kind)| first.items(list).iter().map(move |spec| (spec, *kind)));
        let reports = self.board.reports();
        let mut waiting: Vec<Container> = specs
            .enumerate()
            // What was over when the node died doesn't run again.
            .filter(|(index, _)| !reports[*index].over)
            .map(|(index, (spec, kind))| container(&first, index, spec, kind))
            .collect();
        waiting.reverse();
        let mut running = JoinSet::new();
        // How many ephemeral containers have been started.
        let mut added = 0;
        // The init container that the next one waits for.
        let mut current: Option<usize> = None;
        let mut health = shared.nodes.watch(network.node());
        let deadline = seconds(self.first.pointer("/spec/activeDeadlineSeconds"));
        let deadline = deadline.map(|deadline| Instant::now() + deadline);
        loop {
            let reports = self.board.reports();
            let stopping = stop.borrow().is_some();
            let passed = current.is_none_or(|index| {
                reports[index].over || (reports[index].started && is_sidecar(&self.first, index))
            });
            let failed_init = reports[..inits].iter().any(|report| {
                report.over
                    && matches!(&report.state, State::Terminated(ended)
                        if ended.code != 0)
            });
            if passed && !stopping && !failed_init {
                while let Some(next) = waiting.pop() {
                    let init = next.kind == Kind::Init;
                    current = init.then_some(next.index);
                    facts.initialized = !init;
                    running.spawn(next.run());
                    if init {
                        break;
                    }
                }
            }
            if failed_init || stopping {
                waiting.clear();
            }
            // Sidecars and ephemeral containers end with the last of the others.
            let over = reports[own.clone()].iter().all(|report| report.over);
            if over && !stopping && waiting.is_empty() && !running.is_empty() {
                stop.send_replace(Some(Instant::now()));
                continue;
            }
            let pod = self.pod.borrow().clone();
            if let Some(pod) = pod.filter(|_| !stopping && !over) {
                for spec in pod.items("/spec/ephemeralContainers").iter().skip(added) {
                    let index = own.end + added;
                    if self.board.reports().len() <= index {
                        self.board.add();
                    }
                    added += 1;
                    running.spawn(container(&pod, index, spec, Kind::Ephemeral).run());
                }
            }
            self.write(facts);
            if running.is_empty() && waiting.is_empty() {
                return;
            }
            let late = async {
                match deadline.filter(|_| facts.failed.is_none()) {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.board.changed.notified() => {}
                // What was not written while the kubelet was silent is now.
                _ = health.changed() => {}
                _ = running.join_next(), if !running.is_empty() => {}
                changed = self.pod.changed() => {
                    let pod = self.pod.borrow_and_update().clone();
                    match pod {
                        _ if changed.is_err() => _ = stop.send_replace(Some(Instant::now())),
                        None => _ = stop.send_replace(Some(Instant::now())),
                        Some(pod) if pod.is_deleting() => {
                            let grace = pod.pointer("/metadata/deletionGracePeriodSeconds");
                            let end = Instant::now() + seconds(grace).unwrap_or_default();
                            // A later request can only shorten an earlier one.
                            stop.send_if_modified(|stop| {
                                let sooner = stop.is_none_or(|stop| end < stop);
                                if sooner {
                                    *stop = Some(end);
                                }
                                sooner
                            });
                        }
                        Some(_) => {}
                    }
                }
                () = late => {
                    let message =
                        "Pod was active on the node longer than the specified deadline";
                    facts.failed = Some(("DeadlineExceeded", message.to_owned()));
                    let own = self.first.pointer("/spec/terminationGracePeriodSeconds");
                    let end = Instant::now() + seconds(own).unwrap_or(DEFAULT_GRACE);
                    stop.send_replace(Some(end));
                }
            }
        }
    }

    /// Takes the object away if it was only waiting for its processes' end.
    fn finish(&self) {
        if !self.is_deleting() {
            return;
        }
        let pod = &self.first;
        let place = Place { resource: &PODS, namespace: pod.namespace(), name: pod.name() };
        let options = DeleteOptions {
            grace: Some(0),
            uid: Some(pod.uid().to_owned()),
            ..DeleteOptions::default()
        };
        // It may be gone already, and its name taken by another.
        let _ = delete::delete(&self.shared.store, place, &options);
    }
}

/// Whether a pod is to end, or already no more.
pub(super) fn is_ending(pod: &Option<Arc<Value>>) -> bool {
    pod.as_ref().is_none_or(|pod| pod.is_deleting())
}

fn is_sidecar(pod: &Value, index: usize) -> bool {
    let init = pod.items("/spec/initContainers").get(index);
    init.is_some_and(|init| init.text("/restartPolicy") == "Always")
}

fn settings(pod: &Value) -> PodSettings {
    let sysctls = pod.items("/spec/securityContext/sysctls").iter();
    let mut sysctls: BTreeMap<_, _> = sysctls
        .map(|sysctl| (sysctl.text("/name").to_owned(), sysctl.text("/value").to_owned()))
        .collect();
    // An image's program would listen on a low port as root; what stands in for it is none.
    let containers = ["/spec/initContainers", "/spec/containers"].map(|list| pod.items(list));
    let stand_ins = |spec: &Value| Program::of(pod, spec) == Program::StandIn;
    if containers.into_iter().flatten().any(stand_ins) {
        let name = "net.ipv4.ip_unprivileged_port_start".to_owned();
        sysctls.entry(name).or_insert_with(|| "0".to_owned());
    }
    PodSettings { sysctls }
}
