//! PodDisruptionBudgets: how many of their pods may be evicted just now.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    events::Recorder,
    worker::{self, Again, Controller, Key},
    workload::{Hands, controller_of, has_ended, is_ready, number, resolve, selector_of, time},
};
use crate::sandbox::api::{
    failure::Failure,
    object::{Object, now},
    resource::{DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, Resource},
    scale,
    store::{Change, Event, Store},
};
use tokio_util::sync::CancellationToken;

/// How long an eviction that was granted may take to show.
const GRANTED_FOR: Duration = Duration::from_secs(120);

/// Keeps the status of PodDisruptionBudgets until cancelled.
pub async fn budget_disruptions(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let hands = Hands { store: Arc::clone(&store), events: events.of("controllermanager", "") };
    worker::run(store, Disruptions { hands }, cancel).await;
}

struct Disruptions {
    hands: Hands,
}

/// How many pods there should be, and how many of them healthy.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    pods: i64,
    healthy: i64,
    /// Pods without a controller, which nobody can count.
    unmanaged: usize,
}

impl Controller for Disruptions {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&POD_DISRUPTION_BUDGETS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &POD_DISRUPTION_BUDGETS {
            if event.change != Change::Deleted {
                add(Key::of(&event.object));
            }
            return;
        }
        let namespace = event.object.namespace().to_owned();
        let concerned = if event.resource == &PODS {
            event.previous.as_ref().is_none_or(|previous| {
                let (before, now) = (&previous["metadata"], &event.object["metadata"]);
                event.change == Change::Deleted
                    || before["labels"] != now["labels"]
                    || before["ownerReferences"] != now["ownerReferences"]
                    || previous.is_deleting() != event.object.is_deleting()
                    || is_ready(previous) != is_ready(&event.object)
                    || has_ended(previous) != has_ended(&event.object)
            })
        } else {
            scale::is_scalable(event.resource)
                && event.previous.as_ref().is_none_or(|previous| {
                    let wanted = |object| scale::wanted(event.resource, object);
                    wanted(previous) != wanted(&event.object)
                })
        };
        if concerned {
            // All budgets of the namespace: there are few, and their selectors may be any.
            add(Key::Orphan(namespace, String::new()));
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let store = &self.hands.store;
        match key {
            Key::Object(namespace, name) => {
                match store.get(&POD_DISRUPTION_BUDGETS, namespace, name) {
                    Some(budget) => self.bring(&budget),
                    None => Ok(None),
                }
            }
            Key::Orphan(namespace, _) => {
                let mut again: Again = None;
                for budget in store.list(&POD_DISRUPTION_BUDGETS, Some(namespace)).0 {
                    // One that can't be counted must not keep the others back.
                    if let Ok(Some(next)) = self.bring(&budget) {
                        again = Some(again.map_or(next, |known| known.min(next)));
                    }
                }
                Ok(again)
            }
        }
    }
}

impl Disruptions {
    fn bring(&self, budget: &Arc<Value>) -> Result<Again, Failure> {
        let (hands, events) = (&self.hands, &self.hands.events);
        let selector = &budget["spec"]["selector"];
        let claims = if selector.is_null() { None } else { selector_of(selector) };
        let pods: Vec<_> = match &claims {
            Some(claims) => {
                let all = hands.store.list(&PODS, Some(budget.namespace())).0;
                all.into_iter()
                    .filter(|pod| !has_ended(pod) && claims.matches(&pod.labels()))
                    .collect()
            }
            None => Vec::new(),
        };
        if pods.is_empty() {
            events.normal(budget, "NoPods", "No matching pods found");
        }
        let expected = match self.expected(budget, &pods) {
            Ok(expected) => expected,
            Err(problem) => {
                let text = format!("Failed to calculate the number of expected pods: {problem}");
                events.warning(budget, "CalculateExpectedPodCountFailed", text);
                self.fail_safe(budget, &problem)?;
                return Ok(None);
            }
        };
        if expected.unmanaged > 0 {
            let text = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to \
                 be unmanaged. As a result, the status of the PDB cannot be calculated correctly, \
                 which may result in undefined behavior. To account for these pods please set \
                 \".spec.minAvailable\" field of the PDB to an integer value."
            );
            events.warning(budget, "UnmanagedPods", text);
        }
        let (granted, again) = still_granted(budget, &pods);
        let healthy = pods
            .iter()
            .filter(|pod| !pod.is_deleting() && !granted.contains_key(pod.name()) && is_ready(pod))
            .count();
        let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
        let allowed = if expected.pods > 0 { (healthy - expected.healthy).max(0) } else { 0 };
        let mut status = json!({
            "currentHealthy": healthy,
            "desiredHealthy": expected.healthy,
            "disruptionsAllowed": allowed,
            "expectedPods": expected.pods,
            "observedGeneration": budget["metadata"]["generation"],
        });
        if !granted.is_empty() {
            status["disruptedPods"] = granted.into();
        }
        let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
        status["conditions"] = conditions(budget, allowed > 0, reason, "");
        hands.status(&POD_DISRUPTION_BUDGETS, budget, status)?;
        Ok(again)
    }

    /// Nothing may be disrupted while nobody knows how much there should be.
    fn fail_safe(&self, budget: &Value, problem: &str) -> Result<(), Failure> {
        let mut status = budget["status"].clone();
        for field in ["currentHealthy", "desiredHealthy", "expectedPods"] {
            status[field] = number(&status[field], 0).into();
        }
        status["disruptionsAllowed"] = 0.into();
        status["observedGeneration"] = budget["metadata"]["generation"].clone();
        status["conditions"] = conditions(budget, false, "SyncFailed", problem);
        self.hands.status(&POD_DISRUPTION_BUDGETS, budget, status)
    }

    fn expected(&self, budget: &Value, pods: &[Arc<Value>]) -> Result<Expected, String> {
        let spec = &budget["spec"];
        let most_down = &spec["maxUnavailable"];
        let least_up = &spec["minAvailable"];
        if !most_down.is_null() {
            let (pods, unmanaged) = self.scale(pods)?;
            let down = resolve(most_down, pods, true);
            return Ok(Expected { pods, healthy: (pods - down).max(0), unmanaged });
        }
        if least_up.is_string() {
            let (pods, unmanaged) = self.scale(pods)?;
            return Ok(Expected { pods, healthy: resolve(least_up, pods, true), unmanaged });
        }
        let count = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let healthy = number(least_up, if least_up.is_null() { 1 } else { 0 });
        Ok(Expected { pods: count, healthy, unmanaged: 0 })
    }

    /// How many pods the controllers of some pods are to have, and how many pods have none.
    fn scale(&self, pods: &[Arc<Value>]) -> Result<(i64, usize), String> {
        let mut controllers = HashMap::<String, i64>::new();
        let mut unmanaged = 0;
        for pod in pods {
            let Some(reference) = controller_of(pod) else {
                unmanaged += 1;
                continue;
            };
            let lost = || format!("found no controllers for pod \"{}\"", pod.name());
            let (kind, owner) = self.hands.store.by_uid(reference.text("/uid")).ok_or_else(lost)?;
            if !scale::is_scalable(kind) {
                return Err(format!(
                    "{} does not implement the scale subresource",
                    kind.qualified()
                ));
            }
            // The Deployment above a ReplicaSet counts for all its revisions.
            let above = controller_of(&owner)
                .and_then(|above| self.hands.store.by_uid(above.text("/uid")))
                .filter(|(kind, _)| *kind == &DEPLOYMENTS)
                .unwrap_or((kind, owner));
            let (kind, counted) = above;
            controllers.insert(counted.uid().to_owned(), scale::wanted(kind, &counted));
        }
        Ok((controllers.values().sum(), unmanaged))
    }
}

fn conditions(budget: &Value, allowed: bool, reason: &str, message: &str) -> Value {
    let status = if allowed { "True" } else { "False" };
    let known = budget.items("/status/conditions").iter();
    let known = known.clone().find(|one| one["type"] == "DisruptionAllowed");
    let since = known
        .filter(|known| known["status"] == status)
        .map_or_else(|| now().into(), |known| known["lastTransitionTime"].clone());
    json!([{
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since,
        "observedGeneration": budget["metadata"]["generation"],
    }])
}

/// The evictions that were granted and don't show yet, and when to look again.
fn still_granted(budget: &Value, pods: &[Arc<Value>]) -> (Map<String, Value>, Again) {
    let now = Timestamp::now();
    let mut kept = Map::new();
    let mut again: Again = None;
    let granted = budget["status"]["disruptedPods"].as_object();
    for (name, when) in granted.into_iter().flatten() {
        let there = pods.iter().any(|pod| pod.name() == name && !pod.is_deleting());
        let passed = time(when).map(|when| now.duration_since(when).as_millis());
        let left = passed.map_or(0, |passed| {
            let limit = i128::try_from(GRANTED_FOR.as_millis()).unwrap_or(i128::MAX);
            u64::try_from(limit - passed).unwrap_or_default()
        });
        if there && left > 0 {
            kept.insert(name.clone(), when.clone());
            let left = Duration::from_millis(left);
            again = Some(again.map_or(left, |known| known.min(left)));
        }
    }
    (kept, again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::api::resource::{CONFIG_MAPS, REPLICA_SETS};

    fn pod(name: &str, owner: Option<(&str, &str)>) -> Arc<Value> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        if let Some((kind, uid)) = owner {
            pod["metadata"]["ownerReferences"] =
                json!([{"kind": kind, "uid": uid, "name": uid, "controller": true}]);
        }
        Arc::new(pod)
    }

    #[test]
    fn the_controllers_of_the_pods_say_how_many_there_should_be() {
        let store = Arc::new(Store::new());
        store.write(|writer| {
            for (kind, uid, replicas) in [(&REPLICA_SETS, "rs", 4), (&CONFIG_MAPS, "map", 0)] {
                let metadata = json!({"name": uid, "namespace": "shop", "uid": uid});
                writer.put(kind, json!({"metadata": metadata, "spec": {"replicas": replicas}}));
            }
        });
        let disruptions = Disruptions { hands: Hands { store, events: Recorder::deaf() } };
        let set = || pod("a", Some(("ReplicaSet", "rs")));
        let expected = |pods, healthy, unmanaged| Ok(Expected { pods, healthy, unmanaged });
        for (message, spec, pods, wanted) in [
            ("at most one down", json!({"maxUnavailable": 1}), vec![set()], expected(4, 3, 0)),
            ("a share down", json!({"maxUnavailable": "30%"}), vec![set()], expected(4, 2, 0)),
            ("a share up", json!({"minAvailable": "30%"}), vec![set()], expected(4, 2, 0)),
            ("a number up", json!({"minAvailable": 2}), vec![set()], expected(1, 2, 0)),
            (
                "a guest with a plain owner",
                json!({"maxUnavailable": 1}),
                vec![set(), pod("guest", None)],
                expected(4, 3, 1),
            ),
            (
                "a guest with a controller that isn't scalable",
                json!({"maxUnavailable": 1}),
                vec![set(), pod("guest", Some(("ConfigMap", "map")))],
                Err("configmaps does not implement the scale subresource".to_owned()),
            ),
            (
                "a controller that is gone",
                json!({"maxUnavailable": 1}),
                vec![pod("a", Some(("ReplicaSet", "gone")))],
                Err("found no controllers for pod \"a\"".to_owned()),
            ),
        ] {
            let budget = json!({"spec": spec});
            assert_eq!(disruptions.expected(&budget, &pods), wanted, "{message}");
        }
    }
}
