//! What a pod's volumes come from. Nothing is mounted, for no image runs that would read
//! it; but a pod whose ConfigMap or Secret isn't there doesn't start, as on any node.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    made::counts_as_made,
    status::Facts,
    worker::{Worker, is_ending},
};
use crate::sandbox::api::{
    object::Object,
    resource::{CONFIG_MAPS, Resource, SECRETS},
    store::Store,
};

/// How long what a volume comes from may be missing before it is said: what a namespace
/// starts with comes a moment after it.
const UNTOLD: Duration = Duration::from_millis(250);
/// How soon a missing source is said again; the interval doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such interval.
const LONGEST_WAIT: Duration = Duration::from_secs(122);

impl Worker {
    /// Waits until all that the pod's volumes come from is there, or the pod is deleted. Says
    /// what isn't, at ever longer intervals.
    pub(super) async fn volumes(&mut self, node: &str, facts: &Facts) {
        let Some(mut problem) = problem_of(&self.shared.store, &self.first) else { return };
        self.write(facts);
        let events = self.shared.events.of("kubelet", node);
        let changed = self
            .shared
            .store
            .signal(|event| event.resource == &CONFIG_MAPS || event.resource == &SECRETS);
        let (mut wait, mut due) = (FIRST_WAIT, Instant::now() + UNTOLD);
        while !self.is_deleting() {
            tokio::select! {
                () = changed.notified() => {}
                () = sleep_until(due) => {
                    events.warning(&self.first, "FailedMount", problem.clone());
                    due = Instant::now() + wait;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                _ = self.pod.wait_for(is_ending) => return,
            }
            match problem_of(&self.shared.store, &self.first) {
                Some(found) => problem = found,
                None => return,
            }
        }
    }
}

/// Why a volume can't be set up, in a kubelet's words; the first of those that can't.
fn problem_of(store: &Store, pod: &Value) -> Option<String> {
    pod.items("/spec/volumes").iter().find_map(|volume| {
        let missing = missing(store, pod, volume)?;
        let name = volume.text("/name");
        Some(format!("MountVolume.SetUp failed for volume \"{name}\" : {missing}"))
    })
}

fn missing(store: &Store, pod: &Value, volume: &Value) -> Option<String> {
    let own = [("configMap", "name", &CONFIG_MAPS), ("secret", "secretName", &SECRETS)];
    let direct = own.into_iter().find_map(|(kind, key, resource)| {
        let source = volume.get(kind)?;
        absent(store, pod, resource, source.text(&format!("/{key}")), source)
    });
    let projected = || {
        volume.items("/projected/sources").iter().find_map(|source| {
            let own = [("configMap", &CONFIG_MAPS), ("secret", &SECRETS)];
            own.into_iter().find_map(|(kind, resource)| {
                let source = source.get(kind)?;
                absent(store, pod, resource, source.text("/name"), source)
            })
        })
    };
    direct.or_else(projected)
}

/// What of a ConfigMap or Secret isn't there that a volume needs.
fn absent(
    store: &Store,
    pod: &Value,
    resource: &'static Resource,
    name: &str,
    source: &Value,
) -> Option<String> {
    if source["optional"] == true {
        return None;
    }
    let singular = resource.singular();
    let Some(object) = store.get(resource, pod.namespace(), name) else {
        if counts_as_made(store, resource, pod.namespace()) {
            return None;
        }
        return Some(format!("{singular} \"{name}\" not found"));
    };
    let has =
        |key: &str| ["data", "binaryData"].iter().any(|field| object[*field].get(key).is_some());
    let key = source.items("/items").iter().map(|item| item.text("/key")).find(|key| !has(key))?;
    let kind = if resource == &SECRETS { "secret" } else { "config" };
    Some(format!("{singular} references non-existent {kind} key: {key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_said_as_a_kubelet_says_it() {
        let store = Store::new();
        store.write(|writer| {
            for (resource, kind, name) in
                [(&CONFIG_MAPS, "ConfigMap", "m"), (&SECRETS, "Secret", "s")]
            {
                let metadata = json!({"name": name, "namespace": "shop"});
                writer.put(
                    resource,
                    json!({"kind": kind, "metadata": metadata, "data": {"key": "eA=="}}),
                );
            }
        });
        for (volume, expected) in [
            (json!({"emptyDir": {}}), None),
            (json!({"configMap": {"name": "m"}}), None),
            (json!({"configMap": {"name": "x"}}), Some("configmap \"x\" not found")),
            (json!({"configMap": {"name": "x", "optional": true}}), None),
            (
                json!({"configMap": {"name": "m", "items": [{"key": "none", "path": "p"}]}}),
                Some("configmap references non-existent config key: none"),
            ),
            (json!({"secret": {"secretName": "s", "items": [{"key": "key", "path": "p"}]}}), None),
            (json!({"secret": {"secretName": "x"}}), Some("secret \"x\" not found")),
            (
                json!({"projected": {"sources": [
                    {"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "x"}},
                ]}}),
                Some("secret \"x\" not found"),
            ),
        ] {
            let mut named = volume.clone();
            named["name"] = "v".into();
            let pod = json!({"metadata": {"namespace": "shop"}, "spec": {"volumes": [named]}});
            let expected =
                expected.map(|text| format!("MountVolume.SetUp failed for volume \"v\" : {text}"));
            assert_eq!(problem_of(&store, &pod), expected, "{volume}");
        }
    }
}
