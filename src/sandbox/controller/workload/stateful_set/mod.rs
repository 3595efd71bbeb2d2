//! StatefulSets: pods with names that stay, one after another.

mod claims;
mod identity;
mod status;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

pub(super) use self::claims::Claims;
use self::identity::{ordinal, pod_of};
use super::{
    claim::selector_of,
    hands::{Hands, number},
    pod::{has_ended, is_available, is_ready, phase, until_available},
    replica_set::{is_namespace_ending, pod_concerns},
    revision::{self, HASH},
};
use crate::sandbox::{
    api::{
        delete::Propagation,
        failure::Failure,
        object::Object,
        resource::{PERSISTENT_VOLUME_CLAIMS, PODS, Resource, STATEFUL_SETS},
        store::Event,
    },
    controller::worker::{Again, Controller, Key},
};

/// The controller of StatefulSets.
pub(super) struct StatefulSets {
    hands: Hands,
}

/// A StatefulSet and what it has while it is looked at.
struct View {
    set: Arc<Value>,
    /// The first ordinal, and the one after the last.
    range: std::ops::Range<i64>,
    /// The pods by their ordinals.
    pods: BTreeMap<i64, Arc<Value>>,
    /// The revision that the pods had, and the one that they are to have.
    current: Arc<Value>,
    update: Arc<Value>,
    min_ready: i64,
    now: Timestamp,
}

impl View {
    fn is_ordered(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] != "Parallel"
    }

    fn is_available(&self, pod: &Value) -> bool {
        phase(pod) == "Running" && is_available(pod, self.min_ready, self.now)
    }

    /// The first ordinal that is updated.
    fn partition(&self) -> i64 {
        number(&self.set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 0)
    }

    /// The revision that a new pod gets.
    fn revision_for(&self, ordinal: i64) -> &Arc<Value> {
        let rolls = self.set["spec"]["updateStrategy"]["type"] == "RollingUpdate";
        let replaced = self.current.name() != self.update.name();
        // Below the partition pods stay as they were.
        let stays = replaced && rolls && ordinal < self.range.start + self.partition();
        if stays { &self.current } else { &self.update }
    }
}

impl Controller for StatefulSets {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&STATEFUL_SETS, &PODS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &STATEFUL_SETS {
            add(Key::of(&event.object));
        } else if event.resource == &PODS {
            pod_concerns(event, &STATEFUL_SETS, add);
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let (Key::Object(namespace, name) | Key::Orphan(namespace, name)) = key;
        let store = &self.hands.store;
        if let Key::Object(..) = key {
            return match store.get(&STATEFUL_SETS, namespace, name) {
                Some(set) => self.bring(&set),
                None => Ok(None),
            };
        }
        // An orphan can only be of the set that its name begins with.
        let Some((parent, _)) = name.rsplit_once('-') else { return Ok(None) };
        match store.get(&STATEFUL_SETS, namespace, parent) {
            Some(set) => self.bring(&set),
            None => Ok(None),
        }
    }
}

impl StatefulSets {
    /// The controller with its own name in events.
    pub(super) fn new(hands: &Hands) -> Self {
        let events = hands.events.of("statefulset-controller", "");
        Self { hands: Hands { events, ..hands.clone() } }
    }

    fn bring(&self, set: &Arc<Value>) -> Result<Again, Failure> {
        let Some(claims) = selector_of(&set["spec"]["selector"]).filter(|one| !one.everything)
        else {
            return Ok(None);
        };
        let ours = |pod: &Value| ordinal(set, pod.name()).is_some();
        let pods = self.hands.claim(&STATEFUL_SETS, set, &PODS, &claims, ours)?;
        let revisions = self.hands.revisions(&STATEFUL_SETS, set, &claims)?;
        let Some(update) = revisions.last().cloned() else { return Ok(None) };
        let known = set["status"]["currentRevision"].as_str().unwrap_or_default();
        let current = revisions.iter().find(|one| one.name() == known);
        let start = number(&set["spec"]["ordinals"]["start"], 0);
        let view = View {
            set: Arc::clone(set),
            range: start..start + number(&set["spec"]["replicas"], 1),
            pods: pods
                .into_iter()
                .filter_map(|pod| Some((ordinal(set, pod.name())?, pod)))
                .collect(),
            current: Arc::clone(current.unwrap_or(&update)),
            update,
            min_ready: number(&set["spec"]["minReadySeconds"], 0),
            now: Timestamp::now(),
        };
        let result = if set.is_deleting() { Ok(()) } else { self.manage(&view) };
        self.report(&view)?;
        result?;
        let alive = |name: &str| {
            view.current.name() == name
                || view.pods.values().any(|pod| pod["metadata"]["labels"][HASH] == name)
        };
        self.hands.forget_revisions(set, &revisions, alive)?;
        let waits =
            view.pods.values().filter_map(|pod| until_available(pod, view.min_ready, view.now));
        let soonest = waits.filter(|left| !left.is_zero()).min();
        Ok(soonest.map(|left| left + Duration::from_millis(5)))
    }

    /// Takes the next steps: one at a time if the pods are ordered.
    fn manage(&self, view: &View) -> Result<(), Failure> {
        for ordinal in view.range.clone() {
            match view.pods.get(&ordinal) {
                None => {
                    self.create(view, ordinal)?;
                    if view.is_ordered() {
                        return Ok(());
                    }
                }
                Some(pod) if pod.is_deleting() => {
                    if view.is_ordered() {
                        return Ok(());
                    }
                }
                Some(pod) if has_ended(pod) => {
                    self.delete(view, pod, "is recreating failed Pod")?;
                    if view.is_ordered() {
                        return Ok(());
                    }
                }
                Some(pod) => {
                    self.bind_claims(view, ordinal)?;
                    if view.is_ordered() && !view.is_available(pod) {
                        return Ok(());
                    }
                }
            }
        }
        let condemned: Vec<_> =
            view.pods.iter().rev().filter(|(place, _)| !view.range.contains(place)).collect();
        for (place, pod) in &condemned {
            if pod.is_deleting() {
                if view.is_ordered() {
                    return Ok(());
                }
                continue;
            }
            // The last pod that is not well holds the others back, but goes itself.
            let sick = view.range.clone().filter_map(|place| view.pods.get(&place));
            let well = sick.clone().all(|pod| is_ready(pod));
            let first_sick = condemned.iter().rev().find(|(_, pod)| !is_ready(pod));
            let blocked = view.is_ordered()
                && !is_ready(pod)
                && well
                && first_sick.is_some_and(|(first, _)| first != place);
            if blocked {
                return Ok(());
            }
            self.delete(view, pod, "")?;
            if view.is_ordered() {
                return Ok(());
            }
        }
        if !condemned.is_empty() && view.is_ordered() {
            return Ok(());
        }
        self.roll(view)
    }

    /// Replaces the pods of an old revision, the last one first, each after its
    /// predecessor is available.
    fn roll(&self, view: &View) -> Result<(), Failure> {
        if view.set["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
            return Ok(());
        }
        let first = view.range.start + view.partition();
        for place in view.range.clone().rev().take_while(|place| *place >= first) {
            let Some(pod) = view.pods.get(&place) else { return Ok(()) };
            let is_new = pod["metadata"]["labels"][HASH] == view.update.name();
            if !is_new && !pod.is_deleting() {
                return self.delete(view, pod, "");
            }
            if !view.is_available(pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn create(&self, view: &View, ordinal: i64) -> Result<(), Failure> {
        let set = &view.set;
        self.bind_claims(view, ordinal)?;
        let revision = view.revision_for(ordinal);
        let pod = pod_of(set, &revision::template(revision), revision.name(), ordinal);
        let name = pod.name().to_owned();
        match self.hands.create(&PODS, set.namespace(), pod) {
            Ok(_) => {
                let text = format!("create Pod {name} in StatefulSet {} successful", set.name());
                self.hands.events.normal(set, "SuccessfulCreate", text);
                Ok(())
            }
            // A pod of somebody else's has the name.
            Err(failure) => {
                if !is_namespace_ending(&failure) {
                    let text = format!(
                        "create Pod {name} in StatefulSet {} failed error: {failure}",
                        set.name()
                    );
                    self.hands.events.warning(set, "FailedCreate", text);
                }
                Err(failure)
            }
        }
    }

    fn delete(&self, view: &View, pod: &Value, why: &str) -> Result<(), Failure> {
        let (set, name) = (&view.set, pod.name());
        if !why.is_empty() {
            let text = format!("StatefulSet {}/{} {why} {name}", set.namespace(), set.name());
            self.hands.events.warning(set, "RecreatingFailedPod", text);
        }
        self.hands.delete(&PODS, pod, Propagation::Background)?;
        let text = format!("delete Pod {name} in StatefulSet {} successful", set.name());
        self.hands.events.normal(set, "SuccessfulDelete", text);
        Ok(())
    }

    /// Makes the claims of a pod, and binds them: the sandbox has no volumes, but pods wait
    /// for their claims.
    fn bind_claims(&self, view: &View, ordinal: i64) -> Result<(), Failure> {
        let set = &view.set;
        for template in set.items("/spec/volumeClaimTemplates") {
            let name = identity::claim_name(set, template.name(), ordinal);
            let store = &self.hands.store;
            if store.get(&PERSISTENT_VOLUME_CLAIMS, set.namespace(), &name).is_some() {
                continue;
            }
            let claim = identity::claim_of(set, template, &name);
            match self.hands.create(&PERSISTENT_VOLUME_CLAIMS, set.namespace(), claim) {
                Ok(_) => {
                    let text = format!(
                        "create Claim {name} Pod {}-{ordinal} in StatefulSet {} success",
                        set.name(),
                        set.name()
                    );
                    self.hands.events.normal(set, "SuccessfulCreate", text);
                }
                Err(failure) => {
                    let text = format!(
                        "create Claim {name} for Pod {}-{ordinal} in StatefulSet {} failed error: \
                         {failure}",
                        set.name(),
                        set.name()
                    );
                    self.hands.events.warning(set, "FailedCreate", text);
                    return Err(failure);
                }
            }
        }
        Ok(())
    }
}
