//! The life of one pod, from its node's point of view.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    container::{Container, DEFAULT_GRACE},
    manager::Shared,
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
    node::{PodNetwork, PodSettings},
};

/// How soon something is tried again that the system refused.
const RETRY: Duration = Duration::from_secs(1);

/// The pod's network as soon as it has one, for `exec`.
pub(super) type Wired = watch::Sender<Option<PodNetwork>>;

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
    /// Runs until the pod is gone and nothing of it is left.
    ///
    /// The rules come before the network, so that the pod is never without them; they go
    /// after it. Only then may the address be somebody else's.
    pub(super) async fn run(mut self) {
        let node = self.first.text("/spec/nodeName").to_owned();
        let mut facts = Facts { host: self.host.clone(), start: now(), ..Facts::default() };
        let addresses = self.addresses(&node, &mut facts).await;
        facts.addresses = addresses.clone().unwrap_or_default();
        if let Some(addresses) = &addresses
            && self.rules_in_force(&facts).await
            && let Some(network) = self.network(&node, addresses, &mut facts).await
        {
            facts.wired = true;
            self.wired.send_replace(Some(network.clone()));
            self.containers(&network, &mut facts).await;
            self.wired.send_replace(None);
            if let Err(error) = self.shared.network.remove_pod(&network).await {
                tracing::warn!(%error, pod = self.first.name(), "remove the pod's network");
            }
        }
        self.finish();
        if let Some(addresses) = addresses {
            self.shared.addresses.give_back(&node, &addresses);
        }
        // A pod that has ended by itself stays until it is deleted.
        _ = self.pod.wait_for(Option::is_none).await;
    }

    /// Whether the pod is to end, or already no more.
    fn is_deleting(&self) -> bool {
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
                Ok(network) => return Some(network),
                Err(error) => self.problem(error.to_string(), facts).await,
            }
        }
        None
    }

    /// Tells what the system refused, and waits until it may be tried again.
    async fn problem(&mut self, problem: String, facts: &mut Facts) {
        tracing::warn!(problem, pod = self.first.name(), "make the pod's network");
        facts.problem = Some(problem);
        status::write(&self.shared.store, &self.first, facts, &self.board.reports());
        facts.problem = None;
        tokio::select! {
            () = sleep(RETRY) => {}
            _ = self.pod.wait_for(is_ending) => {}
        }
    }

    /// Publishes the address and waits until every node has the rules for it. Says whether
    /// the pod is still to run.
    async fn rules_in_force(&mut self, facts: &Facts) -> bool {
        let reports = self.board.reports();
        let Some(version) = status::write(&self.shared.store, &self.first, facts, &reports) else {
            return false;
        };
        let mut applied = self.shared.applied.clone();
        tokio::select! {
            reached = applied.wait_for(|applied| *applied >= version) => reached.is_ok(),
            _ = self.pod.wait_for(is_ending) => false,
        }
    }

    /// Runs the containers until all are over.
    async fn containers(&mut self, network: &PodNetwork, facts: &mut Facts) {
        let (stop, stopped) = watch::channel(None);
        let container = |index: usize, spec: &Value, init: bool| Container {
            shared: Arc::clone(&self.shared),
            pod: Arc::clone(&self.first),
            spec: spec.clone(),
            index,
            init,
            address: network.address(),
            network: network.clone(),
            board: Arc::clone(&self.board),
            stop: stopped.clone(),
        };
        let inits = self.first.items("/spec/initContainers").len();
        let mut waiting: Vec<Container> = Vec::new();
        for (index, spec) in self.first.items("/spec/initContainers").iter().enumerate() {
            waiting.push(container(index, spec, true));
        }
        for (index, spec) in self.first.items("/spec/containers").iter().enumerate() {
            waiting.push(container(inits + index, spec, false));
        }
        waiting.reverse();
        let mut running = JoinSet::new();
        // The init container that the next one waits for.
        let mut current: Option<usize> = None;
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
                    let init = next.init;
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
            // Sidecars end with the last of the others.
            let over = reports[inits..].iter().all(|report| report.over);
            if over && !stopping && waiting.is_empty() && !running.is_empty() && inits > 0 {
                stop.send_replace(Some(Instant::now()));
                continue;
            }
            status::write(&self.shared.store, &self.first, facts, &self.board.reports());
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
fn is_ending(pod: &Option<Arc<Value>>) -> bool {
    pod.as_ref().is_none_or(|pod| pod.is_deleting())
}

fn is_sidecar(pod: &Value, index: usize) -> bool {
    let init = pod.items("/spec/initContainers").get(index);
    init.is_some_and(|init| init.text("/restartPolicy") == "Always")
}

fn settings(pod: &Value) -> PodSettings {
    let sysctls = pod.items("/spec/securityContext/sysctls").iter();
    let sysctls: BTreeMap<_, _> = sysctls
        .map(|sysctl| (sysctl.text("/name").to_owned(), sysctl.text("/value").to_owned()))
        .collect();
    PodSettings { sysctls }
}
