//! Whether a selector would take a probe pod for one of its own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::Guest;
use crate::{cluster::marks, model::Labels};

/// The pods that a label selector selects. One that can't be read is taken to select all:
/// it is better to be careful for nothing.
pub(super) fn by_selector<'a>(selector: &LabelSelector, pods: &[Guest<'a>]) -> Vec<Guest<'a>> {
    let selector = Selector::try_from(selector.clone());
    let selects = |labels: &Labels| match &selector {
        Ok(selector) => selector.matches(labels),
        Err(_) => true,
    };
    pods.iter().copied().filter(|(_, pod)| selects(&worn(&pod.labels))).collect()
}

/// The pods that a plain map selects. An empty one selects nothing: so it is with Services
/// and ReplicationControllers.
pub(super) fn by_map<'a>(selector: &Labels, pods: &[Guest<'a>]) -> Vec<Guest<'a>> {
    let selects = |labels: &Labels| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    pods.iter().copied().filter(|(_, pod)| selects(&worn(&pod.labels))).collect()
}

/// The labels that the pod will wear.
fn worn(planned: &Labels) -> Labels {
    let mut labels = planned.clone();
    labels.insert(marks::PROBE.to_owned(), String::new());
    labels
}
