//! Which of the nodes that do is the best.
//!
//! As in the real scheduler, each view gives a node up to 100 points and has a weight. Where
//! that says nothing, the node with the fewest pods wins, then the first by name, so that a
//! sandbox places the same pods the same way each time.

use std::cmp::Reverse;

use serde_json::Value;

use super::{
    cache::{Cache, Node},
    filter::Wish,
    term::{node_term, tolerates},
};
use crate::sandbox::{api::object::Object, controller::workload::controller_of};

/// What a container without requests is counted for: the real scheduler's 100 millicores.
const USUAL_CPU: i128 = 100;

/// The best of some nodes.
pub(super) fn best<'a>(
    wish: &Wish<'_>,
    fitting: &[(&'a String, &'a Node)],
    cache: &Cache,
) -> Option<&'a String> {
    if let [(only, _)] = fitting {
        return Some(only);
    }
    let mut totals = vec![0; fitting.len()];
    let mut add = |raw: Vec<i64>, weight: i64| {
        let (low, high) = (raw.iter().min(), raw.iter().max());
        if let (Some(&low), Some(&high)) = (low, high)
            && high > low
        {
            for (total, raw) in totals.iter_mut().zip(raw) {
                *total += weight * (raw - low) * 100 / (high - low);
            }
        }
    };
    let of = |view: &dyn Fn(&Node) -> i64| -> Vec<i64> {
        fitting.iter().map(|(_, node)| view(node)).collect()
    };
    add(of(&|node| taints(wish.pod, node)), 3);
    add(of(&|node| liked_node(wish.pod, node)), 2);
    add(neighbours(wish, fitting, cache), 2);
    add(spread(wish, fitting, cache), 2);
    let least = of(&|node| free(wish, node));
    for (total, points) in totals.iter_mut().zip(least) {
        *total += points;
    }
    let candidates = fitting.iter().zip(totals);
    let best = candidates
        .max_by_key(|((name, node), total)| (*total, Reverse(node.pods.len()), Reverse(*name)));
    best.map(|((name, _), _)| *name)
}

/// Fewer taints that only prefer others are better.
fn taints(pod: &Value, node: &Node) -> i64 {
    let tolerations = pod.items("/spec/tolerations");
    let soft = node.object.items("/spec/taints").iter();
    let disliked = soft
        .filter(|taint| taint["effect"] == "PreferNoSchedule" && !tolerates(tolerations, taint));
    -i64::try_from(disliked.count()).unwrap_or(i64::MAX)
}

fn liked_node(pod: &Value, node: &Node) -> i64 {
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let terms = affinity.items("/preferredDuringSchedulingIgnoredDuringExecution").iter();
    terms
        .filter(|term| node_term(&term["preference"], &node.object, &node.labels))
        .filter_map(|term| term["weight"].as_i64())
        .sum()
}

/// What the pod prefers of the others, and the others of the pod.
fn neighbours(wish: &Wish<'_>, fitting: &[(&String, &Node)], cache: &Cache) -> Vec<i64> {
    let mine = super::term::PodTerm::preferred(wish.pod);
    let mut points = vec![0; fitting.len()];
    if mine.is_empty() && cache.wishers == 0 {
        return points;
    }
    for (_, there) in cache.nodes() {
        let mut give = |key: &str, worth: i64| {
            let Some(place) = there.labels.get(key) else { return };
            for (points, (_, node)) in points.iter_mut().zip(fitting) {
                if node.labels.get(key) == Some(place) {
                    *points += worth;
                }
            }
        };
        for pod in there.pods.values() {
            for term in &mine {
                if term.matches(&pod.namespace, &pod.labels, &cache.namespaces) {
                    give(&term.key, term.weight);
                }
            }
            for term in &pod.likes {
                if term.matches(wish.pod.namespace(), &wish.labels, &cache.namespaces) {
                    give(&term.key, term.weight);
                }
            }
        }
    }
    points
}

/// The fewer pods of the same kind are in a place, the better: by the pod's own soft
/// constraints, or else by its controller.
fn spread(wish: &Wish<'_>, fitting: &[(&String, &Node)], cache: &Cache) -> Vec<i64> {
    let soft: Vec<_> = wish.spreads.iter().filter(|spread| !spread.hard).collect();
    let count = |node: &Node, alike: &dyn Fn(&super::cache::Placed) -> bool| {
        let pods = node.pods.values();
        i64::try_from(pods.filter(|pod| !pod.deleting && alike(pod)).count()).unwrap_or(i64::MAX)
    };
    if soft.is_empty() && wish.spreads.is_empty() {
        let owner = controller_of(wish.pod).map_or("", |owner| owner.text("/uid"));
        let alike = |pod: &super::cache::Placed| !owner.is_empty() && pod.controller == owner;
        return fitting.iter().map(|(_, node)| -count(node, &alike)).collect();
    }
    fitting
        .iter()
        .map(|(_, node)| {
            let crowd = soft.iter().map(|spread| {
                let place = node.labels.get(&spread.key);
                let there = cache
                    .nodes()
                    .filter(|(_, other)| place.is_some() && other.labels.get(&spread.key) == place);
                let alike = |pod: &super::cache::Placed| {
                    pod.namespace == wish.pod.namespace() && spread.matches(&pod.labels)
                };
                there.map(|(_, other)| count(other, &alike)).sum::<i64>()
            });
            -crowd.sum::<i64>()
        })
        .collect()
}

/// How much of a node's processors and memory stays free, in percent.
fn free(wish: &Wish<'_>, node: &Node) -> i64 {
    let share = |resource: &str, usual: i128| {
        let all = node.allocatable.get(resource).copied().unwrap_or_default();
        let taken = node.requested.get(resource).copied().unwrap_or_default();
        let count = i128::try_from(node.pods.len()).unwrap_or_default();
        let more = wish.requests.get(resource).copied().unwrap_or(usual);
        let left = all - taken.max(count * usual) - more;
        if all <= 0 { 0 } else { left.max(0) * 100 / all }
    };
    let points = (share("cpu", USUAL_CPU) + share("memory", 0)) / 2;
    i64::try_from(points).unwrap_or_default()
}
