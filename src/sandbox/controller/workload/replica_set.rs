//! ReplicaSets and ReplicationControllers: so many pods of one template, no more, no less.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    claim::{Claims, selector_of},
    condition,
    hands::{Hands, controller_of, is_of, number},
    pod::{from_template, is_active, is_available, is_ready, until_available},
    rank,
};
use crate::sandbox::{
    api::{
        delete::Propagation,
        failure::Failure,
        object::Object,
        resource::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, Resource},
        store::Event,
    },
    controller::worker::{Again, Controller, Key},
};

/// How many pods are made or deleted at one go.
const BURST: usize = 500;

/// The controller of ReplicaSets, or of ReplicationControllers.
pub(super) struct Replicas {
    pub hands: Hands,
    pub kind: &'static Resource,
}

impl Controller for Replicas {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![self.kind, &PODS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == self.kind {
            add(Key::of(&event.object));
        } else if event.resource == &PODS {
            pod_concerns(event, self.kind, add);
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        match key {
            Key::Object(namespace, name) => {
                match self.hands.store.get(self.kind, namespace, name) {
                    Some(set) => self.bring(&set),
                    None => Ok(None),
                }
            }
            Key::Orphan(namespace, name) => {
                let Some(pod) = self.hands.store.get(&PODS, namespace, name) else {
                    return Ok(None);
                };
                let labels = pod.labels();
                for set in self.hands.store.list(self.kind, Some(namespace)).0 {
                    let wants = self.claims(&set).is_some_and(|one| one.matches(&labels));
                    if wants && !set.is_deleting() {
                        self.bring(&set)?;
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Whom a write of a pod concerns: its controllers before and after, or whoever may want it.
pub(super) fn pod_concerns(event: &Event, kind: &Resource, add: &mut dyn FnMut(Key)) {
    let object = &event.object;
    let mut controlled = false;
    for pod in [Some(object), event.previous.as_ref()].into_iter().flatten() {
        if let Some(owner) = controller_of(pod) {
            controlled = true;
            if is_of(owner, kind) {
                let name = owner.text("/name").to_owned();
                add(Key::Object(pod.namespace().to_owned(), name));
            }
        }
    }
    let unchanged = event.previous.as_ref().is_some_and(|previous| {
        previous["metadata"]["labels"] == object["metadata"]["labels"]
            && previous["metadata"]["ownerReferences"] == object["metadata"]["ownerReferences"]
    });
    let lost = controlled && controller_of(object).is_none();
    if (!controlled || lost) && !unchanged && !object.is_deleting() {
        add(Key::orphan(object));
    }
}

impl Replicas {
    fn claims(&self, set: &Value) -> Option<Claims> {
        let selector = &set["spec"]["selector"];
        let claims = if self.kind == &REPLICA_SETS {
            selector_of(selector)?
        } else {
            Claims::of_map(selector)
        };
        (!claims.everything).then_some(claims)
    }

    fn bring(&self, set: &Arc<Value>) -> Result<Again, Failure> {
        let Some(claims) = self.claims(set) else { return Ok(None) };
        let pods = self.hands.claim(self.kind, set, &PODS, &claims, is_active)?;
        let (active, rest): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| is_active(pod));
        let terminating = rest.iter().filter(|pod| pod.is_deleting()).count();
        let mut result = Ok(());
        let mut active = active;
        if !set.is_deleting() {
            result = self.manage(set, &mut active);
        }
        let again = self.report(set, &active, terminating, result.as_ref().err())?;
        result.map(|()| again)
    }

    /// Makes the pods that are missing or deletes those that are too many.
    fn manage(&self, set: &Value, active: &mut Vec<Arc<Value>>) -> Result<(), Failure> {
        let wanted = usize::try_from(number(&set["spec"]["replicas"], 1)).unwrap_or_default();
        let events = &self.hands.events;
        if active.len() < wanted {
            for _ in 0..(wanted - active.len()).min(BURST) {
                let pod = from_template(self.kind, set, &set["spec"]["template"], None);
                match self.hands.create(&PODS, set.namespace(), pod) {
                    Ok(pod) => {
                        let message = format!("Created pod: {}", pod.name());
                        events.normal(set, "SuccessfulCreate", message);
                        active.push(pod);
                    }
                    Err(failure) => {
                        if !is_namespace_ending(&failure) {
                            let message = format!("Error creating: {failure}");
                            events.warning(set, "FailedCreate", message);
                        }
                        return Err(failure);
                    }
                }
            }
        } else if active.len() > wanted {
            let surplus = (active.len() - wanted).min(BURST);
            let related = self.related(set, active);
            for pod in rank::first_to_go(active, &related, surplus, Timestamp::now()) {
                if let Err(failure) = self.hands.delete(&PODS, &pod, Propagation::Background) {
                    let message = format!("Error deleting: {failure}");
                    events.warning(set, "FailedDelete", message);
                    return Err(failure);
                }
                events.normal(set, "SuccessfulDelete", format!("Deleted pod: {}", pod.name()));
                active.retain(|kept| kept.uid() != pod.uid());
            }
        }
        Ok(())
    }

    /// The pods of all ReplicaSets with the same controller: during a rollout, those go
    /// first that share a node with their successors.
    fn related(&self, set: &Value, own: &[Arc<Value>]) -> Vec<Arc<Value>> {
        let Some(owner) = controller_of(set).filter(|_| self.kind == &REPLICA_SETS) else {
            return own.to_vec();
        };
        let store = &self.hands.store;
        let siblings = store.owned(owner.text("/uid"), Some(&REPLICA_SETS));
        let pods = siblings.iter().flat_map(|(_, set)| store.owned(set.uid(), Some(&PODS)));
        pods.map(|(_, pod)| pod).collect()
    }

    fn report(
        &self,
        set: &Value,
        active: &[Arc<Value>],
        terminating: usize,
        failure: Option<&Failure>,
    ) -> Result<Again, Failure> {
        let now = Timestamp::now();
        let min_ready = number(&set["spec"]["minReadySeconds"], 0);
        let labels = set["spec"]["template"]["metadata"]["labels"].as_object();
        let labelled = active.iter().filter(|pod| {
            let mut labels = labels.into_iter().flatten();
            labels.all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
        });
        let ready = active.iter().filter(|pod| is_ready(pod)).count();
        let available = active.iter().filter(|pod| is_available(pod, min_ready, now)).count();
        let mut status = json!({
            "replicas": active.len(),
            "observedGeneration": set["metadata"]["generation"],
        });
        let counts = [
            ("fullyLabeledReplicas", labelled.count()),
            ("readyReplicas", ready),
            ("availableReplicas", available),
        ];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            status[field] = count.into();
        }
        if self.kind == &REPLICA_SETS {
            status["terminatingReplicas"] = terminating.into();
        }
        let mut conditions = set["status"]["conditions"].clone();
        let found = condition::find(&conditions, "ReplicaFailure").is_some();
        match failure {
            Some(failure) if !found => {
                let wanted = usize::try_from(number(&set["spec"]["replicas"], 1));
                let creating = active.len() < wanted.unwrap_or_default();
                let reason = if creating { "FailedCreate" } else { "FailedDelete" };
                let text = failure.to_string();
                condition::put(&mut conditions, "ReplicaFailure", "True", reason, &text);
            }
            None if found => condition::remove(&mut conditions, "ReplicaFailure"),
            _ => {}
        }
        if !condition::is_empty(&conditions) {
            status["conditions"] = conditions;
        }
        self.hands.status(self.kind, set, status)?;
        let soonest = active
            .iter()
            .filter_map(|pod| until_available(pod, min_ready, now))
            .filter(|left| !left.is_zero())
            .min();
        Ok(soonest.map(|left| left + Duration::from_millis(5)))
    }
}

/// A refusal that is no news: the namespace and all in it is going away.
pub(super) fn is_namespace_ending(failure: &Failure) -> bool {
    let causes = failure.details.items("/causes");
    causes.iter().any(|cause| cause["reason"] == "NamespaceTerminating")
}

/// ReplicaSets.
pub(super) fn replica_sets(hands: &Hands) -> Replicas {
    let events = hands.events.of("replicaset-controller", "");
    Replicas { hands: Hands { events, ..hands.clone() }, kind: &REPLICA_SETS }
}

/// ReplicationControllers.
pub(super) fn replication_controllers(hands: &Hands) -> Replicas {
    let events = hands.events.of("replication-controller", "");
    Replicas { hands: Hands { events, ..hands.clone() }, kind: &REPLICATION_CONTROLLERS }
}
