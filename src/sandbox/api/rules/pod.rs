//! Pods: what new ones start with, and what the API server refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{
        failure::Cause,
        object::{Object, object_mut},
    },
    container,
};

pub(super) fn selectable(field: &str) -> bool {
    matches!(
        field,
        "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.schedulerName"
            | "spec.serviceAccountName"
            | "spec.hostNetwork"
            | "status.phase"
            | "status.podIP"
            | "status.nominatedNodeName"
    )
}

pub(super) fn prepare(pod: &mut Value) {
    let tolerations = pod.section_mut("spec").entry("tolerations").or_insert(json!([]));
    // As the admission plugin DefaultTolerationSeconds does.
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if let Some(list) = tolerations.as_array_mut()
            && !list.iter().any(|known| known["key"] == key || known.get("key").is_none())
        {
            list.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
    let class = quality_of_service(pod);
    object_mut(pod).insert("status".into(), json!({"phase": "Pending", "qosClass": class}));
}

fn quality_of_service(pod: &Value) -> &'static str {
    let containers = pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers"));
    let mut any = false;
    let mut guaranteed = true;
    for container in containers {
        let of = |kind: &str| container.pointer(&format!("/resources/{kind}")).cloned();
        let (requests, limits) = (of("requests"), of("limits"));
        any |= requests.is_some() || limits.is_some();
        let complete = limits
            .as_ref()
            .is_some_and(|limits| limits.get("cpu").is_some() && limits.get("memory").is_some());
        guaranteed &= complete && (requests.is_none() || requests == limits);
    }
    match (any, guaranteed) {
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
        (false, _) => "BestEffort",
    }
}

pub(super) fn validate(pod: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(before) = before {
        unchanged(pod, before, &mut causes);
        return causes;
    }
    if pod.items("/spec/containers").is_empty() {
        causes.push(Cause::required("spec.containers", ""));
    }
    container::validate_volumes(pod, &mut causes);
    let mut seen = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, one) in pod.items(&format!("/spec/{list}")).iter().enumerate() {
            let field = format!("spec.{list}[{index}]");
            container::validate(pod, one, &field, &mut causes);
            let name = one.text("/name");
            if !name.is_empty() && !seen.insert(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
            }
        }
    }
    for (field, known) in [
        ("restartPolicy", &["Always", "Never", "OnFailure"][..]),
        ("dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ] {
        let value = pod.text(&format!("/spec/{field}"));
        if !known.contains(&value) {
            causes.push(Cause::not_supported(format!("spec.{field}"), &value.into(), known));
        }
    }
    if pod.text("/spec/dnsPolicy") == "None" && pod.items("/spec/dnsConfig/nameservers").is_empty()
    {
        let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        causes.push(Cause::required("spec.dnsConfig.nameservers", message));
    }
    let deadline = pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64);
    if let Some(deadline) = deadline.filter(|deadline| *deadline < 1) {
        let message = "must be between 1 and 2147483647, inclusive";
        causes.push(Cause::invalid("spec.activeDeadlineSeconds", &deadline.into(), message));
    }
    causes
}

/// Of a pod's specification little may change after its creation.
fn unchanged(pod: &Value, before: &Value, causes: &mut Vec<Cause>) {
    let frozen = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        let map = object_mut(&mut spec);
        for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            map.remove(field);
        }
        for list in ["containers", "initContainers"] {
            for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                object_mut(container).remove("image");
                object_mut(container).remove("imagePullPolicy");
            }
        }
        spec
    };
    if frozen(pod) != frozen(before) {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
             additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to \
             be set to 1 if it was previously negative)",
        ));
    }
}
