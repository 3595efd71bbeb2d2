//! Policies that select no pod at all, although one changed letter would make them.

use std::collections::HashSet;

use super::{
    cluster_policy::ClusterPolicy,
    compile::{Compiled, PolicyId},
    decision::Direction,
    miss::{Miss, nearest, places, unmet},
    network_policy::NetworkPolicy,
    selector::{Requirement, Selector},
    set::Policy,
};
use crate::model::{Labels, Pod};

/// Farther off than this it is another pod that was meant.
const FARTHEST: usize = 3;

/// Policies that select nobody, that judge in this direction, and that nearly select a pod.
pub(super) fn of_subjects(all: &Compiled, pod: usize, direction: Direction) -> Vec<Miss> {
    let Some(pod) = all.topology().pods().get(pod) else { return Vec::new() };
    let busy: HashSet<PolicyId> =
        (0..all.topology().pods().len()).flat_map(|pod| all.selecting(pod)).collect();
    let idle = all.ids().filter(|id| !busy.contains(id)).filter_map(|id| all.policy(id));
    let misses = idle.filter_map(|policy| match policy {
        Policy::Network(policy) => of_network(policy, pod, direction),
        Policy::Cluster(policy) => of_cluster(all, policy, pod, direction),
    });
    nearest(misses.collect())
}

fn of_network(policy: &NetworkPolicy, pod: &Pod, direction: Direction) -> Option<Miss> {
    policy.rules(direction)?;
    let place = format!("NetworkPolicy {}/{}", policy.namespace, policy.name);
    let strange = policy.namespace != pod.namespace;
    // One that is meant for all pods of a namespace may well wait for the first.
    if strange && policy.pod_selector.is_everything() {
        return None;
    }
    let (mut reasons, mut distance) = differences(&policy.pod_selector, &pod.labels);
    if strange {
        // A namespace and a label: that is no slip.
        if !reasons.is_empty() {
            return None;
        }
        reasons.push(format!("it is in namespace {}, and {pod} is not", policy.namespace));
        distance = FARTHEST;
    }
    let change = match strange {
        true => format!("put {place} into namespace {}", pod.namespace),
        false => format!("let spec.podSelector of {place} select {pod}"),
    };
    miss(place, &reasons, distance, change)
}

fn of_cluster(
    all: &Compiled,
    policy: &ClusterPolicy,
    pod: &Pod,
    direction: Direction,
) -> Option<Miss> {
    if policy.rules(direction).is_empty() || pod.host_network {
        return None;
    }
    let nothing = Labels::new();
    let space = all.topology().namespaces().get(&pod.namespace).unwrap_or(&nothing);
    let subject = &policy.subject;
    let place = format!("{} {}", policy.kind, policy.name);
    let (of_space, far) = differences(&subject.namespaces, space);
    let (of_pod, farther) = differences(&subject.pods, &pod.labels);
    let reasons: Vec<String> = of_space
        .into_iter()
        .map(|reason| format!("of namespace {}, {reason}", pod.namespace))
        .chain(of_pod)
        .collect();
    let change = format!("let spec.subject of {place} select {pod}");
    miss(place, &reasons, far + farther, change)
}

fn miss(place: String, reasons: &[String], distance: usize, change: String) -> Option<Miss> {
    if reasons.is_empty() || distance > FARTHEST {
        return None;
    }
    let why = format!("{place} selects no pod: {}", reasons.join(" and "));
    Some(Miss { distance, place, why, change })
}

/// What of a selector labels don't meet, from the selector's side, and how far off they are.
fn differences(selector: &Selector, labels: &Labels) -> (Vec<String>, usize) {
    let own = |requirement: &&Requirement| !requirement.matches(labels);
    let described = selector.requirements.iter().filter(own).map(|requirement| {
        if let Requirement::In(key, values) = requirement
            && let Some(found) = labels.get(key)
            && let Some((value, by)) = values
                .iter()
                .map(|value| (value, strsim::osa_distance(value, found)))
                .min_by_key(|(_, by)| *by)
        {
            let sentence =
                format!("its label `{key}={value}` differs from `{key}={found}`{}", places(by));
            // A word of which half is otherwise is another word.
            let length = value.chars().count().max(found.chars().count());
            return (sentence, if by * 2 > length { FARTHEST + 1 } else { by });
        }
        let single = Selector { requirements: vec![requirement.clone()] };
        let (sentence, by) = unmet(&single, labels).swap_remove(0);
        (sentence, by)
    });
    let described: Vec<(String, usize)> = described.collect();
    let distance = described.iter().map(|(_, by)| by).sum();
    (described.into_iter().map(|(sentence, _)| sentence).collect(), distance)
}
