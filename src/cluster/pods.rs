//! A watch over the run's probe pods.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    NotReady, PodState, RunContext, marks,
    not_ready::{self, Ended},
    pod_state::Report,
    retry::Backoff,
};
use crate::model::Labels;

/// Seconds after which the server ends a watch, and a connection that died silently is
/// noticed.
const WATCH: u32 = 30;

/// How long a watch that was broken may take to deliver what it has missed.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The run's probe pods as the API server reports them. Clones share one watch, which
/// ends when the token is cancelled or the last clone is dropped.
#[derive(Clone)]
pub struct Pods {
    context: RunContext,
    shared: Arc<Shared>,
    cancel: CancellationToken,
    _stop: Arc<DropGuard>,
}

struct Shared {
    states: Mutex<HashMap<Name, PodState>>,
    /// Pods that are ready; sent anew with every report, so that waiters look again.
    ready: watch::Sender<usize>,
}

/// Namespace and name.
type Name = (String, String);

impl Pods {
    /// Begins to watch these pods (namespace, name), which need not exist yet.
    pub async fn watch(
        context: &RunContext,
        pods: &[(String, String)],
        cancel: CancellationToken,
    ) -> Self {
        let cancel = cancel.child_token();
        let shared = Arc::new(Shared { states: Mutex::default(), ready: watch::channel(0).0 });
        let namespaces: BTreeSet<&String> = pods.iter().map(|(namespace, _)| namespace).collect();
        for namespace in namespaces {
            let wanted = pods
                .iter()
                .filter(|(of, _)| of == namespace)
                .map(|(_, name)| name.clone())
                .collect();
            let watching = follow(
                Api::namespaced(context.client(), namespace),
                namespace.clone(),
                wanted,
                shared.clone(),
            );
            let cancel = cancel.clone();
            tokio::spawn(async move { cancel.run_until_cancelled(watching).await });
        }
        let stop = Arc::new(cancel.clone().drop_guard());
        Self { context: context.clone(), shared, cancel, _stop: stop }
    }

    /// Waits until ContainersReady holds for all of these pods.
    ///
    /// # Errors
    /// [`NotReady`] at the deadline, on cancellation, or as soon as waiting can't help.
    pub async fn ready(
        &self,
        pods: &[(String, String)],
        deadline: Instant,
    ) -> Result<(), NotReady> {
        let mut changes = self.shared.ready.subscribe();
        let ended = loop {
            changes.borrow_and_update();
            match self.readiness(pods) {
                Readiness::All => return Ok(()),
                Readiness::Never => break Ended::InVain,
                Readiness::NotYet => {}
            }
            tokio::select! {
                // The sender lives in `self.shared`.
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(deadline.into()) => break Ended::Deadline,
                () = self.cancel.cancelled() => break Ended::Cancelled,
            }
        };
        let missing: Vec<(Name, Option<PodState>)> = pods
            .iter()
            .map(|pod| (pod.clone(), self.state(&pod.0, &pod.1)))
            .filter(|(_, state)| !state.as_ref().is_some_and(is_ready))
            .collect();
        Err(not_ready::describe(&self.context, missing, pods.len(), ended).await)
    }

    /// What is known of a pod; none until the server has shown it.
    pub fn state(&self, namespace: &str, name: &str) -> Option<PodState> {
        self.shared.states().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Waits until the server shows a pod with these labels, which the run itself has given
    /// it; the ones before were no sign of anybody's interference. False at the deadline.
    pub async fn relabelled(
        &self,
        namespace: &str,
        name: &str,
        labels: &Labels,
        deadline: Instant,
    ) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        let mut changes = self.shared.ready.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(state) = self.shared.states().get_mut(&key)
                && state.wears(labels)
            {
                state.former_labels.clear();
                return true;
            }
            tokio::select! {
                // The sender lives in `self.shared`.
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(deadline.into()) => return false,
                () = self.cancel.cancelled() => return false,
            }
        }
    }

    /// How many of the watched pods are ready, as it changes.
    pub fn progress(&self) -> watch::Receiver<usize> {
        self.shared.ready.subscribe()
    }

    fn readiness(&self, pods: &[Name]) -> Readiness {
        let states = self.shared.states();
        let mut all = true;
        for pod in pods {
            let state = states.get(pod);
            if state.is_some_and(is_lost) {
                return Readiness::Never;
            }
            all &= state.is_some_and(is_ready);
        }
        if all { Readiness::All } else { Readiness::NotYet }
    }
}

enum Readiness {
    All,
    NotYet,
    Never,
}

fn is_ready(state: &PodState) -> bool {
    state.containers_ready_since.is_some()
}

/// Waiting for this pod is in vain.
fn is_lost(state: &PodState) -> bool {
    state.deleted || state.problems.iter().any(|problem| problem.lasting)
}

impl Shared {
    fn states(&self) -> MutexGuard<'_, HashMap<Name, PodState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<Name, PodState>)) {
        let ready = {
            let mut states = self.states();
            change(&mut states);
            states.values().filter(|state| is_ready(state)).count()
        };
        self.ready.send_replace(ready);
    }
}

/// Keeps the states of a namespace's probe pods, over errors of the watch and lists that
/// have to be made anew.
async fn follow(api: Api<Pod>, namespace: String, wanted: HashSet<String>, shared: Arc<Shared>) {
    let config = watcher::Config::default().labels(marks::PROBE).timeout(WATCH);
    let mut events = std::pin::pin!(watcher::watcher(api, config).backoff(Backoff::watch()));
    let mut listed = HashSet::new();
    let mut gap = Gap::new(Instant::now());
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let seen = |pod: &Pod, known| {
            let name = pod.name_any();
            if wanted.contains(&name) {
                shared.change(|states| {
                    let key = (namespace.clone(), name);
                    let report = Report { at, known, clock: Timestamp::now() };
                    let state = PodState::seen(pod, states.get(&key), report);
                    states.insert(key, state);
                });
            }
        };
        match event {
            Ok(Event::Apply(pod)) => seen(&pod, gap.known(at)),
            Ok(Event::Delete(pod)) => shared.change(|states| {
                if let Some(state) = states.get_mut(&(namespace.clone(), pod.name_any())) {
                    state.gone(gap.known(at));
                }
            }),
            Ok(Event::Init) => {
                gap.opens();
                listed.clear();
            }
            Ok(Event::InitApply(pod)) => {
                listed.insert(pod.name_any());
                seen(&pod, gap.known(at));
            }
            Ok(Event::InitDone) => shared.change(|states| {
                for ((of, name), state) in states.iter_mut() {
                    if *of == namespace && !listed.contains(name) && !state.deleted {
                        state.gone(gap.known(at));
                    }
                }
            }),
            Err(error) => {
                gap.opens();
                tracing::debug!(namespace, %error, "watch over probe pods");
            }
        }
    }
}

/// When the watch was last known to be up, as seen from an event.
struct Gap {
    /// The last event.
    last: Instant,
    /// The last event before a break, and the first one after it.
    open: Option<(Instant, Option<Instant>)>,
}

impl Gap {
    fn new(now: Instant) -> Self {
        Self { last: now, open: None }
    }

    fn opens(&mut self) {
        self.open.get_or_insert((self.last, None));
    }

    /// Until when the state before an event is known to have held. Events that come in one
    /// rush after a break may all be from within it.
    fn known(&mut self, at: Instant) -> Instant {
        self.last = at;
        if let Some((before, first)) = &mut self.open
            && at - *first.get_or_insert(at) < CATCH_UP
        {
            return *before;
        }
        self.open = None;
        at
    }
}

#[cfg(test)]
impl Pods {
    /// Pods that stand as these objects say, in a cluster that nobody can call. Where one is
    /// among them several times, that is its history.
    pub(crate) async fn standing(run: &crate::model::RunId, pods: &[Pod]) -> Self {
        let context = RunContext::out_of_reach(run);
        let all = Self::watch(&context, &[], CancellationToken::new()).await;
        for pod in pods {
            let at = Instant::now();
            let report = Report { at, known: at, clock: Timestamp::now() };
            let key = (pod.namespace().unwrap_or_default(), pod.name_any());
            all.shared.change(|states| {
                let state = PodState::seen(pod, states.get(&key), report);
                states.insert(key, state);
            });
        }
        all
    }
}
