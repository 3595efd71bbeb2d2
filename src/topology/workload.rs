//! Workloads: what has a pod template becomes pods that stand for its own.

use serde_json::Value;

use super::{
    build::{map, namespace, text},
    pod::Template,
};
use crate::model::{Pod, Workload};

/// More pods of one workload tell a policy nothing that two don't.
const MOST_PODS: u32 = 2;

/// Reads whatever has a pod template. Where the pods themselves are among the objects, as
/// in a cluster, nothing has to stand for them.
pub(super) fn read(object: &Value, default: &str, pods: &[Pod]) -> (Vec<Pod>, Option<String>) {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let (Some(template), false) = (template(object, kind), kind == "Pod") else {
        return (Vec::new(), None);
    };
    let space = namespace(object, default);
    // The ReplicaSet of a Deployment, the Job of a CronJob: the owner stands for them.
    let owned = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    if owned.is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true)) {
        return (Vec::new(), None);
    }
    let is_there = pods.iter().any(|pod| {
        let made_by = |workload: &Workload| {
            workload.kind == kind && workload.name == name
                || kind == "CronJob" && workload.kind == "Job" && is_job_of(&workload.name, name)
        };
        pod.namespace == space && pod.workload.as_ref().is_some_and(made_by)
    });
    if is_there {
        return (Vec::new(), None);
    }
    let (replicas, note) = replicas(object, kind);
    if replicas == Some(0) {
        let note = format!("{kind} {space}/{name} asks for no pods: it has none");
        return (Vec::new(), Some(note));
    }
    let count = replicas.unwrap_or(MOST_PODS).min(MOST_PODS);
    let known = Template::read(template.pointer("/spec").unwrap_or(&Value::Null));
    let mut labels = map(template.pointer("/metadata/labels"));
    let pods = (0..count).map(|index| {
        let pod_name = format!("{name}-{index}");
        // What the controllers themselves add, and policies may select.
        match kind {
            "StatefulSet" => {
                labels.insert("statefulset.kubernetes.io/pod-name".into(), pod_name.clone());
                labels.insert("apps.kubernetes.io/pod-index".into(), index.to_string());
            }
            "Job" => {
                labels.insert("job-name".into(), name.to_owned());
                labels.insert("batch.kubernetes.io/job-name".into(), name.to_owned());
            }
            _ => {}
        }
        Pod {
            namespace: space.to_owned(),
            name: pod_name,
            labels: labels.clone(),
            addresses: Vec::new(),
            ports: known.ports.clone(),
            host_network: known.host_network,
            node: known.node.clone(),
            service_account: known.service_account.clone(),
            workload: Some(Workload { kind: kind.to_owned(), name: name.to_owned(), replicas }),
        }
    });
    (pods.collect(), note.map(|note| format!("{kind} {space}/{name}: {note}")))
}

/// A CronJob's Jobs carry its name and the minute.
fn is_job_of(job: &str, name: &str) -> bool {
    let rest = job.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The pod template, where each kind has it; a kind that isn't known is taken by its shape.
fn template<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let place = match kind {
        "CronJob" => "/spec/jobTemplate/spec/template",
        "PodTemplate" => return None,
        _ => "/spec/template",
    };
    let found = object.pointer(place)?;
    found.pointer("/spec/containers")?.as_array()?;
    Some(found)
}

/// How many pods it asks for, and what had to be assumed.
fn replicas(object: &Value, kind: &str) -> (Option<u32>, Option<String>) {
    let number = |pointer: &str| {
        object.pointer(pointer).and_then(Value::as_u64).and_then(|number| number.try_into().ok())
    };
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => {
            (Some(number("/spec/replicas").unwrap_or(1)), None)
        }
        "Job" => (Some(number("/spec/parallelism").unwrap_or(1)), None),
        "CronJob" => (Some(number("/spec/jobTemplate/spec/parallelism").unwrap_or(1)), None),
        "DaemonSet" => (None, None),
        _ => {
            let note = "a kind that isn't known, taken by its pod template".to_owned();
            (number("/spec/replicas"), Some(note))
        }
    }
}
