//! Deployments: a ReplicaSet for each revision, and the way from one to the next.

mod revision;
mod rolling;
mod scale;
mod status;

use std::sync::Arc;

use serde_json::Value;

use self::rolling::{Count, Limits};
use super::{
    claim::selector_of,
    hands::{Hands, controller_of, is_of, number},
    pod::has_ended,
    replica_set::pod_concerns,
};
use crate::sandbox::{
    api::{
        delete::Propagation,
        failure::Failure,
        object::Object,
        resource::{DEPLOYMENTS, PODS, REPLICA_SETS},
        store::{Change, Event},
    },
    controller::worker::{Again, Controller, Key},
};

pub(in crate::sandbox::controller) use rolling::resolve;

/// The controller of Deployments.
pub(super) struct Deployments {
    hands: Hands,
}

/// A Deployment and its ReplicaSets while they are looked at.
struct Rollout {
    deployment: Arc<Value>,
    /// The one of the present template, if it is there.
    new: Option<Arc<Value>>,
    /// The others, oldest first.
    old: Vec<Arc<Value>>,
}

impl Rollout {
    fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }
}

fn wanted(set: &Value) -> i64 {
    number(&set["spec"]["replicas"], 1)
}

fn actual(set: &Value) -> i64 {
    number(&set["status"]["replicas"], 0)
}

fn count(set: &Value) -> Count {
    Count { wanted: wanted(set), available: number(&set["status"]["availableReplicas"], 0) }
}

impl Controller for Deployments {
    fn kinds(&self) -> Vec<&'static crate::sandbox::api::resource::Resource> {
        vec![&DEPLOYMENTS, &REPLICA_SETS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &DEPLOYMENTS {
            add(Key::of(&event.object));
        } else if event.resource == &REPLICA_SETS {
            pod_concerns(event, &DEPLOYMENTS, add);
        } else if event.resource == &PODS && event.change == Change::Deleted {
            // A Deployment that recreates waits for the last old pod's end.
            if let Some(owner) = controller_of(&event.object)
                && is_of(owner, &REPLICA_SETS)
                && let Some((name, _)) = owner.text("/name").rsplit_once('-')
            {
                add(Key::Object(event.object.namespace().to_owned(), name.to_owned()));
            }
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        match key {
            Key::Object(namespace, name) => {
                match self.hands.store.get(&DEPLOYMENTS, namespace, name) {
                    Some(deployment) => self.bring(&deployment),
                    None => Ok(None),
                }
            }
            Key::Orphan(namespace, name) => {
                let Some(set) = self.hands.store.get(&REPLICA_SETS, namespace, name) else {
                    return Ok(None);
                };
                let labels = set.labels();
                for deployment in self.hands.store.list(&DEPLOYMENTS, Some(namespace)).0 {
                    let claims = selector_of(&deployment["spec"]["selector"]);
                    if claims.is_some_and(|one| !one.everything && one.matches(&labels)) {
                        self.bring(&deployment)?;
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Deployments {
    /// The controller with its own name in events.
    pub(super) fn new(hands: &Hands) -> Self {
        let events = hands.events.of("deployment-controller", "");
        Self { hands: Hands { events, ..hands.clone() } }
    }

    fn bring(&self, deployment: &Arc<Value>) -> Result<Again, Failure> {
        let Some(claims) = selector_of(&deployment["spec"]["selector"]) else { return Ok(None) };
        if claims.everything {
            let message =
                "This deployment is selecting all pods. A non-empty selector is required.";
            self.hands.events.warning(deployment, "SelectingAll", message);
            return Ok(None);
        }
        let hands = &self.hands;
        let mut sets = hands.claim(&DEPLOYMENTS, deployment, &REPLICA_SETS, &claims, |_| true)?;
        sets.sort_by_key(|set| age(set));
        if deployment.is_deleting() {
            let rollout = revision::sorted(Arc::clone(deployment), sets);
            return self.report(&rollout, status::Progress::Untouched);
        }
        let deployment = self.note_pause(deployment)?;
        let paused = deployment["spec"]["paused"] == true;
        let scaling = sets.iter().any(|set| {
            let before = super::pod::annotation(set, revision::DESIRED);
            wanted(set) > 0 && before.parse().is_ok_and(|before: i64| before != wanted(&deployment))
        });
        let mut rollout = revision::sorted(deployment, sets);
        if paused || scaling {
            self.keep_revision(&mut rollout)?;
            self.scale_all(&mut rollout)?;
            if paused {
                self.clean_up(&rollout)?;
            }
            return self.report(&rollout, status::Progress::Untouched);
        }
        if rollout.deployment["spec"]["strategy"]["type"] == "Recreate" {
            self.recreate(&mut rollout)?;
        } else {
            self.roll(&mut rollout)?;
        }
        if status::is_complete(&rollout) {
            self.clean_up(&rollout)?;
        }
        self.report(&rollout, status::Progress::Judged)
    }

    /// One step of a rolling update.
    fn roll(&self, rollout: &mut Rollout) -> Result<(), Failure> {
        self.make_new(rollout)?;
        let Some(new) = rollout.new.clone() else { return Ok(()) };
        let limits = Limits::of(&rollout.deployment["spec"]);
        let all: i64 = rollout.all().map(|set| wanted(set)).sum();
        let next = limits.new_replicas(wanted(&new), all);
        if next != wanted(&new) {
            rollout.new = self.scale_one(&rollout.deployment, &new, next)?;
            return Ok(());
        }
        let counts: Vec<_> = rollout.old.iter().map(|set| count(set)).collect();
        let next = limits.old_replicas(&counts, count(&new));
        for (place, next) in next.into_iter().enumerate() {
            let set = Arc::clone(&rollout.old[place]);
            if next != wanted(&set)
                && let Some(scaled) = self.scale_one(&rollout.deployment, &set, next)?
            {
                rollout.old[place] = scaled;
            }
        }
        Ok(())
    }

    /// First all old pods go, then the new ones come.
    fn recreate(&self, rollout: &mut Rollout) -> Result<(), Failure> {
        self.keep_revision(rollout)?;
        let mut shrunk = false;
        for place in 0..rollout.old.len() {
            let set = Arc::clone(&rollout.old[place]);
            if wanted(&set) > 0
                && let Some(scaled) = self.scale_one(&rollout.deployment, &set, 0)?
            {
                rollout.old[place] = scaled;
                shrunk = true;
            }
        }
        let store = &self.hands.store;
        let running = rollout.old.iter().any(|set| {
            let mut pods = store.owned(set.uid(), Some(&PODS)).into_iter();
            actual(set) > 0 || pods.any(|(_, pod)| !has_ended(&pod))
        });
        if shrunk || running {
            return Ok(());
        }
        self.make_new(rollout)?;
        if let Some(new) = rollout.new.clone() {
            let replicas = wanted(&rollout.deployment);
            if wanted(&new) != replicas {
                rollout.new = self.scale_one(&rollout.deployment, &new, replicas)?;
            }
        }
        Ok(())
    }

    /// Deletes the oldest of the ReplicaSets that nobody needs, down to the limit.
    fn clean_up(&self, rollout: &Rollout) -> Result<(), Failure> {
        let limit = number(&rollout.deployment["spec"]["revisionHistoryLimit"], i64::MAX);
        let limit = usize::try_from(limit).unwrap_or_default();
        let mut old: Vec<_> = rollout.old.iter().filter(|set| !set.is_deleting()).collect();
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|set| revision::of(set));
        for set in old.into_iter().take(surplus) {
            let seen = set["metadata"]["generation"] == set["status"]["observedGeneration"];
            if actual(set) == 0 && wanted(set) == 0 && seen {
                self.hands.delete(&REPLICA_SETS, set, Propagation::Background)?;
            }
        }
        Ok(())
    }
}

/// Older comes first; of the same second the one with the smaller revision and name.
fn age(set: &Value) -> (String, i64, String) {
    let created = set.text("/metadata/creationTimestamp").to_owned();
    (created, revision::of(set), set.name().to_owned())
}
