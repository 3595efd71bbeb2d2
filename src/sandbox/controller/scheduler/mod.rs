//! The scheduler: every pod gets a node that it may run on, the best one.
//!
//! ```text
//! every write ─▶ inbox ─▶ cache of nodes and placed pods ─┐
//!                      └▶ pods without a node ─▶ filter ──┴▶ score ─▶ bind
//! ```
//!
//! One pod after another, by priority and then by age. A pod that fits nowhere may take the
//! place of less important ones; or else it says so and is tried again when something has
//! changed that may help.

mod cache;
mod filter;
mod preempt;
mod quantity;
mod score;
mod term;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{cache::Cache, filter::Wish};
use super::{events::Recorder, workload::has_ended};
use crate::sandbox::api::{
    conditions,
    object::Object,
    resource::{NAMESPACES, NODES, PODS, Resource},
    store::{Change, Event, Observer, Store},
};

pub(super) use term::tolerates;

/// How many pods are placed before others get their turn.
const BATCH: usize = 32;
/// How soon pods that fitted nowhere are tried again after something has changed: changes
/// come in crowds.
const AGAIN: Duration = Duration::from_millis(20);
/// The scheduler that pods ask for if they ask for none.
const NAME: &str = "default-scheduler";

/// What has been written since the scheduler last looked.
#[derive(Default)]
struct Inbox {
    events: Mutex<Vec<Event>>,
    notify: Notify,
}

impl Observer for Inbox {
    fn observe(&self, event: &Event) {
        if ![&PODS, &NODES, &NAMESPACES].contains(&event.resource) {
            return;
        }
        let event = Event {
            version: event.version,
            resource: event.resource,
            change: event.change,
            object: Arc::clone(&event.object),
            previous: event.previous.clone(),
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.notify.notify_one();
    }
}

/// Assigns pods to nodes until cancelled.
pub async fn schedule(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let inbox = Arc::new(Inbox::default());
    let kinds: [&'static Resource; 3] = [&NAMESPACES, &NODES, &PODS];
    store.observe(&inbox, &kinds);
    let mut scheduler = Scheduler::new(store, events);
    loop {
        let waiting = scheduler.has_work();
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = tokio::task::yield_now(), if waiting => {}
            () = inbox.notify.notified() => {}
            () = tokio::time::sleep(AGAIN), if scheduler.retry => scheduler.give_another_chance(),
        }
        let events = {
            let mut inbox = inbox.events.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *inbox)
        };
        for event in events {
            scheduler.take(&event);
        }
        scheduler.place_some();
    }
}

/// Namespace and name of a pod.
type Name = (String, String);
/// High priority first, then who came first.
type Turn = (Reverse<i64>, u64);

struct Scheduler {
    store: Arc<Store>,
    events: Recorder,
    cache: Cache,
    /// Pods that wait for their turn.
    turns: BTreeMap<Turn, Name>,
    queued: HashMap<Name, Turn>,
    /// Pods that fit nowhere.
    stuck: BTreeSet<Name>,
    /// For whom which node is being cleared.
    nominated: HashMap<Name, String>,
    /// Something has changed that may help them.
    retry: bool,
    count: u64,
}

impl Scheduler {
    fn new(store: Arc<Store>, events: Recorder) -> Self {
        Self {
            store,
            events,
            cache: Cache::default(),
            turns: BTreeMap::new(),
            queued: HashMap::new(),
            stuck: BTreeSet::new(),
            nominated: HashMap::new(),
            retry: false,
            count: 0,
        }
    }

    fn has_work(&self) -> bool {
        !self.turns.is_empty()
    }

    fn take(&mut self, event: &Event) {
        if self.cache.take(event) && !self.stuck.is_empty() {
            self.retry = true;
        }
        if event.resource != &PODS {
            return;
        }
        let pod = &event.object;
        let name = (pod.namespace().to_owned(), pod.name().to_owned());
        if event.change == Change::Deleted || !needs_node(pod) {
            self.forget(&name);
            if self.nominated.remove(&name).is_some() {
                self.retry = !self.stuck.is_empty();
            }
            return;
        }
        let news = event.previous.as_ref().is_none_or(|previous| {
            previous["spec"] != pod["spec"]
                || previous["metadata"]["labels"] != pod["metadata"]["labels"]
        });
        if news {
            self.stuck.remove(&name);
            self.queue(name, pod);
        }
    }

    fn queue(&mut self, name: Name, pod: &Value) {
        if self.queued.contains_key(&name) {
            return;
        }
        self.count += 1;
        let turn = (Reverse(preempt::priority(pod)), self.count);
        self.turns.insert(turn, name.clone());
        self.queued.insert(name, turn);
    }

    fn forget(&mut self, name: &Name) {
        if let Some(turn) = self.queued.remove(name) {
            self.turns.remove(&turn);
        }
        self.stuck.remove(name);
    }

    /// Pods that fitted nowhere get another turn.
    fn give_another_chance(&mut self) {
        self.retry = false;
        for name in std::mem::take(&mut self.stuck) {
            if let Some(pod) = self.store.get(&PODS, &name.0, &name.1) {
                self.queue(name, &pod);
            }
        }
    }

    fn place_some(&mut self) {
        for _ in 0..BATCH {
            let Some((_, name)) = self.turns.pop_first() else { return };
            self.queued.remove(&name);
            let Some(pod) = self.store.get(&PODS, &name.0, &name.1) else { continue };
            if needs_node(&pod) {
                self.place(&pod);
            }
        }
    }

    fn place(&mut self, pod: &Arc<Value>) {
        if !pod.items("/spec/schedulingGates").is_empty() {
            let text = "Scheduling is blocked due to non-empty scheduling gates";
            self.refuse(pod, "SchedulingGated", text);
            return;
        }
        let expected = self.expect(pod);
        let (best, refusals) = self.look(pod);
        let chosen = if best.is_none() { self.preempt(pod, &refusals) } else { None };
        for one in &expected {
            self.cache.remove(one.uid());
        }
        match best {
            Some(node) => {
                if self.bind(pod, &node) {
                    self.cache.place(pod, &node);
                    let text = format!(
                        "Successfully assigned {}/{} to {node}",
                        pod.namespace(),
                        pod.name()
                    );
                    self.events.normal(pod, "Scheduled", text);
                }
            }
            None => {
                let name = (pod.namespace().to_owned(), pod.name().to_owned());
                let reasons: Vec<_> = refusals.into_iter().map(|(_, reasons)| reasons).collect();
                let mut text = filter::message(reasons.len(), &reasons);
                if let Some(node) = chosen {
                    // Then nothing is said of what else would not have helped.
                    text.truncate(text.find(" no new claims").unwrap_or(text.len()));
                    self.nominated.insert(name.clone(), node);
                } else if !self.waits_for_victims(pod) {
                    self.nominated.remove(&name);
                }
                self.refuse(pod, "Unschedulable", &text);
                self.events.warning(pod, "FailedScheduling", text);
                self.stuck.insert(name);
            }
        }
    }

    /// The best node for a pod as the cache has them, or why each is none.
    fn look(&self, pod: &Value) -> (Option<String>, Vec<(String, Vec<filter::Reason>)>) {
        let wish = Wish::of(pod);
        let counted = wish.count(&self.cache);
        let mut refusals = Vec::new();
        let mut fitting = Vec::new();
        for (name, node) in self.cache.nodes() {
            let reasons = wish.refusals(node, &counted, &self.cache);
            if reasons.is_empty() {
                fitting.push((name, node));
            } else {
                refusals.push((name.clone(), reasons));
            }
        }
        (score::best(&wish, &fitting, &self.cache).cloned(), refusals)
    }

    /// Counts those that a node is being cleared for as if they were there already, where
    /// they are no less important than a pod. Gives them, to be forgotten again.
    fn expect(&mut self, pod: &Value) -> Vec<Arc<Value>> {
        let own = preempt::priority(pod);
        let mut expected = Vec::new();
        for (name, node) in &self.nominated {
            let there = self.store.get(&PODS, &name.0, &name.1);
            let Some(there) = there.filter(|there| {
                there.uid() != pod.uid() && preempt::priority(there) >= own && needs_node(there)
            }) else {
                continue;
            };
            self.cache.place(&there, node);
            expected.push(there);
        }
        expected
    }

    /// Writes the node into the pod, if it is still the same pod and has none.
    fn bind(&self, pod: &Value, node: &str) -> bool {
        self.store.write(|writer| {
            let Some(now) = writer.get(&PODS, pod.namespace(), pod.name()) else { return false };
            if now.uid() != pod.uid() || !needs_node(&now) {
                return false;
            }
            let mut bound = Value::clone(&now);
            bound.section_mut("spec").insert("nodeName".into(), node.into());
            bound.section_mut("status").remove("nominatedNodeName");
            conditions::set(&mut bound, "PodScheduled", true, "", "");
            writer.put(&PODS, bound);
            true
        })
    }

    fn refuse(&self, pod: &Value, reason: &str, text: &str) {
        self.store.write(|writer| {
            let Some(now) = writer.get(&PODS, pod.namespace(), pod.name()) else { return };
            if now.uid() == pod.uid() && needs_node(&now) {
                let mut refused = Value::clone(&now);
                conditions::set(&mut refused, "PodScheduled", false, reason, text);
                let name = (pod.namespace().to_owned(), pod.name().to_owned());
                let status = refused.section_mut("status");
                match self.nominated.get(&name) {
                    Some(node) => {
                        status.insert("nominatedNodeName".into(), node.as_str().into());
                    }
                    None => _ = status.remove("nominatedNodeName"),
                }
                writer.put(&PODS, refused);
            }
        });
    }
}

/// Whether a DaemonSet's pod should be on a node.
pub(super) fn fits_daemon(pod: &Value, node: &Value) -> bool {
    let asked = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    (asked.is_empty() || asked == node.name())
        && term::node_fits(pod, node, &node.labels())
        && term::untolerated(pod, node).is_none()
}

/// Whether a DaemonSet's pod may stay on a node that it is on: taints that only keep new
/// pods off don't count.
pub(super) fn may_stay(pod: &Value, node: &Value) -> bool {
    let asked = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let taints = node.items("/spec/taints").iter();
    let mut hard = taints.filter(|taint| taint["effect"] == "NoExecute");
    (asked.is_empty() || asked == node.name())
        && term::node_fits(pod, node, &node.labels())
        && hard.all(|taint| term::tolerates(pod.items("/spec/tolerations"), taint))
}

/// Whether a pod is this scheduler's to place.
fn needs_node(pod: &Value) -> bool {
    let asked = pod["spec"]["schedulerName"].as_str().unwrap_or(NAME);
    pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty()
        && !pod.is_deleting()
        && !has_ended(pod)
        && asked == NAME
}
