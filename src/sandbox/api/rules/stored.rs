//! Kinds that are stored and acted on by nobody: the defaults that the API server gives
//! them, and the second version of the one that has two.

use serde_json::{Map, Value, json};

use super::{
    super::{
        failure::Cause,
        object::{Object, object_mut},
    },
    table::fill,
};

pub(super) fn default_class(class: &mut Value) {
    let map = object_mut(class);
    fill(map, "reclaimPolicy", "Delete");
    fill(map, "volumeBindingMode", "Immediate");
}

pub(super) fn validate_class(class: &Value, _: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if class.text("/provisioner").is_empty() {
        causes.push(Cause::required("provisioner", ""));
    }
    causes
}

pub(super) fn default_volume(volume: &mut Value) {
    let spec = volume.section_mut("spec");
    fill(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
}

pub(super) fn validate_claim(claim: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let modes = claim.items("/spec/accessModes");
    if modes.is_empty() {
        let detail = "at least 1 access mode is required";
        causes.push(Cause::required("spec.accessModes", detail));
    }
    for mode in modes {
        const KNOWN: [&str; 4] =
            ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
        if !mode.as_str().is_some_and(|mode| KNOWN.contains(&mode)) {
            causes.push(Cause::not_supported("spec.accessModes", mode, &KNOWN));
        }
    }
    if claim.pointer("/spec/resources/requests/storage").is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    let frozen = |claim: &Value| {
        let mut spec = claim["spec"].clone();
        for field in ["resources", "volumeAttributesClassName", "volumeName"] {
            object_mut(&mut spec).remove(field);
        }
        spec
    };
    if before.is_some_and(|before| frozen(before) != frozen(claim)) {
        let detail = "spec is immutable after creation except resources.requests and \
                      volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", detail));
    }
    causes
}

/// A volume waits for somebody to bind it.
pub(super) fn pending(object: &mut Value) {
    object.section_mut("status").insert("phase".into(), "Pending".into());
}

pub(super) fn default_priority(class: &mut Value) {
    fill(object_mut(class), "preemptionPolicy", "PreemptLowerPriority");
}

pub(super) fn default_driver(driver: &mut Value) {
    let spec = driver.section_mut("spec");
    fill(spec, "attachRequired", true);
    fill(spec, "podInfoOnMount", false);
    fill(spec, "storageCapacity", false);
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    fill(spec, "volumeLifecycleModes", json!(["Persistent"]));
    fill(spec, "requiresRepublish", false);
    fill(spec, "seLinuxMount", false);
}

pub(super) fn default_validating(configuration: &mut Value) {
    webhooks(configuration, false);
}

pub(super) fn default_mutating(configuration: &mut Value) {
    webhooks(configuration, true);
}

fn webhooks(configuration: &mut Value, mutating: bool) {
    let hooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    for hook in hooks.into_iter().flatten().filter_map(Value::as_object_mut) {
        fill(hook, "failurePolicy", "Fail");
        fill(hook, "matchPolicy", "Equivalent");
        fill(hook, "namespaceSelector", json!({}));
        fill(hook, "objectSelector", json!({}));
        fill(hook, "timeoutSeconds", 10);
        if mutating {
            fill(hook, "reinvocationPolicy", "Never");
        }
        let service = hook.get_mut("clientConfig").and_then(|config| config.get_mut("service"));
        if let Some(service) = service.and_then(Value::as_object_mut) {
            fill(service, "port", 443);
        }
        for rule in hook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            fill(object_mut(rule), "scope", "*");
        }
    }
}

/// A Service of the API that somebody else would serve; nobody does.
pub(super) fn default_api_service(service: &mut Value) {
    let target = service.pointer_mut("/spec/service").and_then(Value::as_object_mut);
    if let Some(target) = target {
        fill(target, "port", 443);
    }
}

pub(super) fn default_scaler(scaler: &mut Value) {
    let spec = scaler.section_mut("spec");
    fill(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("metrics".into(), json!([cpu(80)]));
    }
}

/// Nobody has scaled anything yet.
pub(super) fn prepare_scaler(scaler: &mut Value) {
    let status = json!({"currentMetrics": null, "desiredReplicas": 0});
    object_mut(scaler).insert("status".into(), status);
}

pub(super) fn validate_scaler(scaler: &Value, _: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let number =
        |pointer: &str| scaler.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let (least, most) = (number("/spec/minReplicas"), number("/spec/maxReplicas"));
    if least < 1 {
        let detail = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &least.into(), detail));
    }
    if most < 1 {
        let detail = "must be greater than 0";
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), detail));
    } else if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), detail));
    }
    for field in ["kind", "name"] {
        if scaler.text(&format!("/spec/scaleTargetRef/{field}")).is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    causes
}

fn cpu(percent: i64) -> Value {
    json!({
        "type": "Resource",
        "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent},
        },
    })
}

/// A HorizontalPodAutoscaler of version 1 as one of version 2, which is stored.
pub(in super::super) fn newer_scaler(mut scaler: Value) -> Value {
    let spec = scaler.section_mut("spec");
    let percent = spec.remove("targetCPUUtilizationPercentage");
    if let Some(percent) = percent.as_ref().and_then(Value::as_i64) {
        spec.insert("metrics".into(), json!([cpu(percent)]));
    }
    if let Some(status) = scaler.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentCPUUtilizationPercentage");
    }
    let map = object_mut(&mut scaler);
    map.insert("apiVersion".into(), "autoscaling/v2".into());
    scaler
}

/// A stored HorizontalPodAutoscaler as one of version 1, which knows of the processor alone.
pub(in super::super) fn older_scaler(scaler: &Value) -> Value {
    let percent = scaler.items("/spec/metrics").iter().find_map(|metric| {
        let resource = metric.get("resource").filter(|resource| resource["name"] == "cpu")?;
        resource.pointer("/target/averageUtilization").cloned()
    });
    let mut scaler = scaler.clone();
    let keep = |map: &mut Map<String, Value>, known: &[&str]| {
        map.retain(|key, _| known.contains(&key.as_str()));
    };
    let spec = scaler.section_mut("spec");
    keep(spec, &["maxReplicas", "minReplicas", "scaleTargetRef"]);
    if let Some(percent) = percent {
        spec.insert("targetCPUUtilizationPercentage".into(), percent);
    }
    if let Some(status) = scaler.get_mut("status").and_then(Value::as_object_mut) {
        keep(
            status,
            &["currentReplicas", "desiredReplicas", "lastScaleTime", "observedGeneration"],
        );
        fill(status, "currentReplicas", 0);
        fill(status, "desiredReplicas", 0);
    }
    object_mut(&mut scaler).insert("apiVersion".into(), "autoscaling/v1".into());
    scaler
}
