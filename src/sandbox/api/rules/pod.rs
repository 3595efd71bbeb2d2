//! Pods: the defaults that the API server fills in, and what it refuses.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    super::{
        failure::Cause,
        names,
        object::{Object, object_mut},
    },
    network_policy::port_name_error,
    table::fill,
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

pub(super) fn default(pod: &mut Value) {
    let spec = pod.section_mut("spec");
    default_spec(spec);
    fill(spec, "enableServiceLinks", true);
    let account = spec.get("serviceAccountName").or(spec.get("serviceAccount"));
    let account = account.and_then(Value::as_str).filter(|name| !name.is_empty());
    let account = account.unwrap_or("default").to_owned();
    spec.insert("serviceAccountName".into(), account.clone().into());
    spec.insert("serviceAccount".into(), account.into());
}

/// What a pod's specification has in common with that of a template.
pub(super) fn default_spec(spec: &mut Map<String, Value>) {
    fill(spec, "restartPolicy", "Always");
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "schedulerName", "default-scheduler");
    fill(spec, "securityContext", json!({}));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            default_container(object_mut(container));
            request_limits(container);
        }
    }
}

/// Who limits itself and requests nothing requests its limit.
fn request_limits(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else {
        return;
    };
    for (resource, amount) in limits.into_iter().flatten() {
        let requests = resources.entry("requests").or_insert_with(|| json!({}));
        object_mut(requests).entry(resource).or_insert(amount);
    }
}

fn default_container(container: &mut Map<String, Value>) {
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    fill(container, "resources", json!({}));
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let latest = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
    fill(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        fill(object_mut(port), "protocol", "TCP");
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else { continue };
        fill(probe, "timeoutSeconds", 1);
        fill(probe, "periodSeconds", 10);
        fill(probe, "successThreshold", 1);
        fill(probe, "failureThreshold", 3);
        if let Some(http) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            fill(http, "path", "/");
            fill(http, "scheme", "HTTP");
        }
    }
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
    let mut seen = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in pod.items(&format!("/spec/{list}")).iter().enumerate() {
            let field = format!("spec.{list}[{index}]");
            validate_container(container, &field, &mut causes);
            let name = container.text("/name");
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

fn validate_container(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let name = container.text("/name");
    if name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if let Some(message) = names::label_error(name) {
        causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &message));
    }
    if container.text("/image").is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    let mut seen = BTreeSet::new();
    for (index, port) in container.items("/ports").iter().enumerate() {
        let field = format!("{field}.ports[{index}]");
        let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let message = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{field}.containerPort"), &number.into(), message));
        }
        let name = port.text("/name");
        if !name.is_empty() {
            if let Some(message) = port_name_error(name) {
                causes.push(Cause::invalid(format!("{field}.name"), &name.into(), message));
            } else if !seen.insert(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
            }
        }
        let protocol = port.text("/protocol");
        if !["TCP", "UDP", "SCTP"].contains(&protocol) {
            let known = &["SCTP", "TCP", "UDP"];
            causes.push(Cause::not_supported(format!("{field}.protocol"), &protocol.into(), known));
        }
    }
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
