//! What people call pods by on the command line: `shop/frontend`, `shop/Deployment/frontend`,
//! `shop/app=web,tier=back`.

use crate::model::{Labels, Pod, Topology};

/// Labels that controllers give to each pod anew; a copy of a pod must not have them.
const OF_CONTROLLERS: [&str; 10] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// The labels that a copy of a pod has.
pub(super) fn copied_labels(pod: &Pod) -> Labels {
    let mut labels = pod.labels.clone();
    labels.retain(|key, _| !OF_CONTROLLERS.contains(&key.as_str()));
    labels
}

/// Namespace and the rest; what names no namespace is in the given one.
pub(super) fn split<'a>(text: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    text.split_once('/').unwrap_or((namespace, text))
}

/// `app=web,tier=back` as labels.
pub(super) fn labels(text: &str) -> Option<Labels> {
    let pair =
        |part: &str| part.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.contains('=').then(|| text.split(',').map(pair).collect::<Option<Labels>>())?
}

/// The first pod of a namespace with all these labels.
pub(super) fn labelled(topology: &Topology, space: &str, labels: &Labels) -> Option<usize> {
    topology.pods().iter().position(|pod| {
        pod.namespace == space
            && labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    })
}

/// The pod of that name, or the first one of the workload of that name; with its kind
/// before it (`Deployment/frontend`, `Pod/frontend-0`), of that kind alone.
pub(super) fn called(topology: &Topology, space: &str, name: &str) -> Option<usize> {
    let (kind, name) = name.split_once('/').map_or((None, name), |(kind, name)| (Some(kind), name));
    let by_name = topology.pod(space, name).filter(|_| kind.is_none_or(|kind| kind == "Pod"));
    by_name.or_else(|| {
        topology.pods().iter().position(|pod| {
            let is_its = pod.workload.as_ref().is_some_and(|workload| {
                workload.name == name
                    && kind.is_none_or(|kind| workload.kind.eq_ignore_ascii_case(kind))
            });
            pod.namespace == space && is_its
        })
    })
}
