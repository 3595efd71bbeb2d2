//! DaemonSets: a pod on every node that it may run on.

mod place;
mod roll;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use self::place::{node_of, pin, with_tolerations};
use super::{
    claim::selector_of,
    hands::{Hands, number},
    pod::{
        annotation, from_template, has_ended, is_active, is_available, is_ready, mark,
        until_available,
    },
    replica_set::{is_namespace_ending, pod_concerns},
    revision::{self, HASH},
};
use crate::sandbox::{
    api::{
        delete::Propagation,
        failure::Failure,
        object::Object,
        resource::{DAEMON_SETS, NODES, PODS, Resource},
        store::{Change, Event},
    },
    controller::{
        scheduler::{fits_daemon, may_stay},
        worker::{Again, Controller, Key},
    },
};

/// The controller of DaemonSets.
pub(super) struct DaemonSets {
    hands: Hands,
}

/// A DaemonSet and what it has while it is looked at.
struct View {
    set: Arc<Value>,
    /// The pods by their nodes.
    pods: BTreeMap<String, Vec<Arc<Value>>>,
    /// The nodes where a pod should be.
    wanted: BTreeSet<String>,
    /// The nodes where one may stay.
    tolerated: BTreeSet<String>,
    hash: String,
    min_ready: i64,
    now: Timestamp,
}

impl View {
    fn is_new(&self, pod: &Value) -> bool {
        pod["metadata"]["labels"][HASH] == self.hash.as_str()
    }

    fn is_available(&self, pod: &Value) -> bool {
        !pod.is_deleting() && is_available(pod, self.min_ready, self.now)
    }

    fn on(&self, node: &str) -> &[Arc<Value>] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }
}

impl Controller for DaemonSets {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&DAEMON_SETS, &PODS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &DAEMON_SETS {
            add(Key::of(&event.object));
        } else if event.resource == &PODS {
            pod_concerns(event, &DAEMON_SETS, add);
        } else if event.resource == &NODES {
            let news = event.change != Change::Modified
                || event.previous.as_ref().is_some_and(|previous| {
                    previous["spec"] != event.object["spec"]
                        || previous["metadata"]["labels"] != event.object["metadata"]["labels"]
                });
            if news {
                // All DaemonSets are concerned; there are few.
                add(Key::Orphan(String::new(), event.object.name().to_owned()));
            }
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let store = &self.hands.store;
        match key {
            Key::Object(namespace, name) => match store.get(&DAEMON_SETS, namespace, name) {
                Some(set) => self.bring(&set),
                None => Ok(None),
            },
            Key::Orphan(namespace, name) => {
                let pod = store.get(&PODS, namespace, name);
                let labels = pod.map(|pod| pod.labels());
                let within = (!namespace.is_empty()).then_some(namespace.as_str());
                for set in store.list(&DAEMON_SETS, within).0 {
                    let wants = labels.as_ref().is_none_or(|labels| {
                        selector_of(&set["spec"]["selector"]).is_some_and(|one| one.matches(labels))
                    });
                    if wants {
                        self.bring(&set)?;
                    }
                }
                Ok(None)
            }
        }
    }
}

impl DaemonSets {
    /// The controller with its own name in events.
    pub(super) fn new(hands: &Hands) -> Self {
        let events = hands.events.of("daemonset-controller", "");
        Self { hands: Hands { events, ..hands.clone() } }
    }

    fn bring(&self, set: &Arc<Value>) -> Result<Again, Failure> {
        let Some(claims) = selector_of(&set["spec"]["selector"]) else { return Ok(None) };
        if claims.everything {
            let text = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.hands.events.warning(set, "SelectingAll", text);
            return Ok(None);
        }
        let pods = self.hands.claim(&DAEMON_SETS, set, &PODS, &claims, |_| true)?;
        if set.is_deleting() {
            return Ok(None);
        }
        let revisions = self.hands.revisions(&DAEMON_SETS, set, &claims)?;
        let Some(present) = revisions.last() else { return Ok(None) };
        let hash = revision::hash(present).to_owned();
        let mut view = View {
            set: Arc::clone(set),
            pods: BTreeMap::new(),
            wanted: BTreeSet::new(),
            tolerated: BTreeSet::new(),
            hash,
            min_ready: number(&set["spec"]["minReadySeconds"], 0),
            now: Timestamp::now(),
        };
        for pod in pods {
            view.pods.entry(node_of(&pod).to_owned()).or_default().push(pod);
        }
        let model = with_tolerations(set);
        for node in self.hands.store.list(&NODES, None).0 {
            let name = node.name().to_owned();
            if fits_daemon(&model, &node) {
                view.wanted.insert(name.clone());
            }
            if may_stay(&model, &node) {
                view.tolerated.insert(name);
            }
        }
        let result = self.manage(&view, &model).and_then(|()| self.roll(&view));
        self.report(&view)?;
        result?;
        let alive = |hash: &str| {
            view.pods.values().flatten().any(|pod| pod["metadata"]["labels"][HASH] == hash)
        };
        self.hands.forget_revisions(set, &revisions, alive)?;
        let pods = view.pods.values().flatten();
        let waits = pods.filter_map(|pod| until_available(pod, view.min_ready, view.now));
        let soonest = waits.filter(|left| !left.is_zero()).min();
        Ok(soonest.map(|left| left + Duration::from_millis(5)))
    }

    /// Makes the pods that are missing and deletes those that should not be there.
    fn manage(&self, view: &View, model: &Value) -> Result<(), Failure> {
        let set = &view.set;
        for (node, pods) in &view.pods {
            if !view.wanted.contains(node) && !view.tolerated.contains(node) {
                for pod in pods.iter().filter(|pod| !pod.is_deleting()) {
                    self.delete(set, pod)?;
                }
                continue;
            }
            for pod in pods.iter().filter(|pod| phase_is(pod, "Failed") && !pod.is_deleting()) {
                let text = format!(
                    "Found failed daemon pod {}/{} on node {node}, will try to kill it",
                    pod.namespace(),
                    pod.name()
                );
                self.hands.events.warning(set, "FailedDaemonPod", text);
                self.delete(set, pod)?;
            }
            // The oldest stays; with a surge, one of each revision does.
            let mut active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).collect();
            active.sort_by_key(|pod| {
                (pod.text("/metadata/creationTimestamp").to_owned(), pod.name().to_owned())
            });
            let surge = self.surge(view) > 0;
            let (new, old): (Vec<_>, Vec<_>) = active.into_iter().partition(|pod| view.is_new(pod));
            let keep_old = usize::from(new.is_empty() || surge);
            for pod in old.into_iter().skip(keep_old).chain(new.into_iter().skip(1)) {
                self.delete(set, pod)?;
            }
        }
        let missing = view.wanted.iter().filter(|node| {
            !view.on(node).iter().any(|pod| !phase_is(pod, "Failed") && !pod.is_deleting())
                // The one that is on its way out is waited for.
                && !view.on(node).iter().any(|pod| pod.is_deleting())
        });
        for node in missing {
            self.create(view, model, node)?;
        }
        Ok(())
    }

    fn create(&self, view: &View, model: &Value, node: &str) -> Result<(), Failure> {
        let set = &view.set;
        let mut pod = from_template(&DAEMON_SETS, set, model, None);
        mark(&mut pod, "labels", HASH, &view.hash);
        let templates = annotation(set, "deprecated.daemonset.template.generation");
        mark(&mut pod, "labels", "pod-template-generation", templates);
        pin(&mut pod, node);
        match self.hands.create(&PODS, set.namespace(), pod) {
            Ok(pod) => {
                let text = format!("Created pod: {}", pod.name());
                self.hands.events.normal(set, "SuccessfulCreate", text);
                Ok(())
            }
            Err(failure) => {
                if !is_namespace_ending(&failure) {
                    let text = format!("Error creating: {failure}");
                    self.hands.events.warning(set, "FailedCreate", text);
                }
                Err(failure)
            }
        }
    }

    fn delete(&self, set: &Value, pod: &Value) -> Result<(), Failure> {
        self.hands.delete(&PODS, pod, Propagation::Background)?;
        let text = format!("Deleted pod: {}", pod.name());
        self.hands.events.normal(set, "SuccessfulDelete", text);
        Ok(())
    }

    fn report(&self, view: &View) -> Result<(), Failure> {
        let set = &view.set;
        let mut pods = BTreeMap::<String, Vec<Arc<Value>>>::new();
        for (_, pod) in self.hands.store.owned(set.uid(), Some(&PODS)) {
            if !pod.is_deleting() && !has_ended(&pod) {
                pods.entry(node_of(&pod).to_owned()).or_default().push(pod);
            }
        }
        let (mut current, mut ready, mut available, mut updated, mut stray) = (0, 0, 0, 0, 0);
        for (node, pods) in &pods {
            if !view.wanted.contains(node) {
                stray += 1;
                continue;
            }
            current += 1;
            ready += usize::from(pods.iter().any(|pod| is_ready(pod)));
            available += usize::from(pods.iter().any(|pod| view.is_available(pod)));
            updated += usize::from(pods.iter().any(|pod| view.is_new(pod)));
        }
        let wanted = view.wanted.len();
        let mut status = json!({
            "observedGeneration": set["metadata"]["generation"],
            "currentNumberScheduled": current,
            "desiredNumberScheduled": wanted,
            "numberMisscheduled": stray,
            "numberReady": ready,
        });
        for (field, count) in [
            ("numberAvailable", available),
            ("numberUnavailable", wanted.saturating_sub(available)),
            ("updatedNumberScheduled", updated),
        ] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        for field in ["collisionCount", "conditions"] {
            if let Some(value) = set["status"].get(field) {
                status[field] = value.clone();
            }
        }
        self.hands.status(&DAEMON_SETS, set, status)
    }
}

fn phase_is(pod: &Value, phase: &str) -> bool {
    pod["status"]["phase"] == phase
}
