//! Which pods go first when there are too many.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use super::pod::{annotation, is_active, is_ready, phase, ready_since, time};
use crate::sandbox::api::object::Object;

/// What a pod costs more than others to delete.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods that go first. `related` are pods whose neighbourhood counts: of two
/// pods the one goes first whose node has more of them.
pub(super) fn first_to_go(
    pods: &[Arc<Value>],
    related: &[Arc<Value>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Value>> {
    let mut neighbours = HashMap::<&str, usize>::new();
    for pod in related.iter().filter(|pod| is_active(pod)) {
        *neighbours.entry(node(pod)).or_default() += 1;
    }
    let mut keyed: Vec<_> = pods
        .iter()
        .map(|pod| (key(pod, neighbours.get(node(pod)).copied().unwrap_or_default(), now), pod))
        .collect();
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    keyed.into_iter().take(count).map(|(_, pod)| Arc::clone(pod)).collect()
}

fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// Smaller goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i64,
    crowd: Reverse<usize>,
    /// How long it has been ready, in powers of ten seconds: about the same is the same.
    ready_for: u32,
    restarts: Reverse<i64>,
    age: u32,
    uid: String,
}

fn key(pod: &Value, crowd: usize, now: Timestamp) -> Rank {
    let ready = is_ready(pod);
    let statuses = pod.items("/status/containerStatuses").iter();
    let restarts = statuses.filter_map(|one| one["restartCount"].as_i64()).max();
    Rank {
        assigned: !node(pod).is_empty(),
        phase: match phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        },
        ready,
        cost: annotation(pod, COST).parse().unwrap_or_default(),
        crowd: Reverse(crowd),
        ready_for: ready_since(pod).map_or(0, |since| magnitude(since, now)),
        restarts: Reverse(restarts.unwrap_or_default()),
        age: time(&pod["metadata"]["creationTimestamp"]).map_or(0, |since| magnitude(since, now)),
        uid: pod.uid().to_owned(),
    }
}

/// The power of two of the seconds that have passed.
fn magnitude(since: Timestamp, now: Timestamp) -> u32 {
    match now.cmp(&since) {
        Ordering::Greater => {
            u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default().max(1).ilog2()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Arc<Value> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"},
            ]},
        });
        change(&mut pod);
        Arc::new(pod)
    }

    #[test]
    fn the_less_useful_pod_goes_first() {
        let good = pod("a-good", |_| {});
        for (message, worse) in [
            ("unassigned", pod("z", |pod| pod["spec"]["nodeName"] = "".into())),
            ("pending", pod("z", |pod| pod["status"]["phase"] = "Pending".into())),
            ("unready", pod("z", |pod| pod["status"]["conditions"][0]["status"] = "False".into())),
            ("cheap", pod("z", |pod| mark(pod, "-5"))),
            (
                "restarted",
                pod("z", |pod| {
                    pod["status"]["containerStatuses"] = json!([{"restartCount": 3}]);
                }),
            ),
            (
                "young",
                pod("z", |pod| {
                    pod["metadata"]["creationTimestamp"] = "2026-01-01T00:59:00Z".into();
                }),
            ),
        ] {
            let now = "2026-01-01T01:00:00Z".parse().expect("a time");
            for pods in [[good.clone(), worse.clone()], [worse.clone(), good.clone()]] {
                let first = first_to_go(&pods, &pods, 1, now);
                assert_eq!(first[0].name(), "z", "{message}");
            }
        }
    }

    #[test]
    fn a_crowded_node_is_thinned_out_first() {
        let pods = [
            pod("a", |pod| pod["spec"]["nodeName"] = "node-2".into()),
            pod("b", |_| {}),
            pod("c", |_| {}),
        ];
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        assert_eq!(first_to_go(&pods, &pods, 1, now)[0].name(), "b");
    }

    fn mark(pod: &mut Value, cost: &str) {
        super::super::pod::mark(pod, "annotations", COST, cost);
    }
}
