//! What a workload means by what it leaves open.

use serde_json::{Map, Value, json};

use super::super::{
    super::{
        failure::Failure,
        object::{Object, object_mut},
        store::Writer,
    },
    pod_defaults,
    table::fill,
};

/// The template's pods get their defaults in the template already.
pub(super) fn default_template(spec: &mut Map<String, Value>) {
    if let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) {
        // It is always written, if only as nothing.
        fill(template, "metadata", json!({}));
        let pod = object_mut(template.entry("spec").or_insert(Value::Null));
        pod_defaults::default_spec(pod);
        for key in
            [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")]
        {
            if let Some(account) = pod.get(key.0).cloned() {
                fill(pod, key.1, account);
            }
        }
    }
}

pub(in super::super) fn default_replicas(object: &mut Value) {
    let spec = object.section_mut("spec");
    fill(spec, "replicas", 1);
    default_template(spec);
}

/// A new object's status counts nothing.
pub(in super::super) fn no_replicas_yet(object: &mut Value) {
    object_mut(object).insert("status".into(), json!({"replicas": 0}));
}

pub(in super::super) fn nothing_disrupted_yet(object: &mut Value) {
    let status = json!({
        "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
    });
    object_mut(object).insert("status".into(), status);
}

pub(in super::super) fn nothing_scheduled_yet(object: &mut Value) {
    let status = json!({
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0,
        "numberReady": 0,
    });
    object_mut(object).insert("status".into(), status);
}

pub(in super::super) fn default_deployment(object: &mut Value) {
    default_replicas(object);
    let spec = object.section_mut("spec");
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    let strategy = object_mut(spec.entry("strategy").or_insert(Value::Null));
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        fill(rolling, "maxUnavailable", "25%");
        fill(rolling, "maxSurge", "25%");
    }
}

/// A ReplicationController takes its selector and its labels from its template.
pub(in super::super) fn default_replication_controller(object: &mut Value) {
    default_replicas(object);
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    let Some(labels) =
        labels.filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty()))
    else {
        return;
    };
    let empty = |value: Option<&Value>| {
        value.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
    };
    if empty(object["spec"].get("selector")) {
        object.section_mut("spec").insert("selector".into(), labels.clone());
    }
    if empty(object.pointer("/metadata/labels")) {
        object.metadata_mut().insert("labels".into(), labels);
    }
}

pub(in super::super) fn default_stateful_set(object: &mut Value) {
    default_replicas(object);
    let spec = object.section_mut("spec");
    fill(spec, "podManagementPolicy", "OrderedReady");
    fill(spec, "revisionHistoryLimit", 10);
    let strategy = object_mut(spec.entry("updateStrategy").or_insert(Value::Null));
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        fill(object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null)), "partition", 0);
    }
    let retention =
        object_mut(spec.entry("persistentVolumeClaimRetentionPolicy").or_insert(Value::Null));
    fill(retention, "whenDeleted", "Retain");
    fill(retention, "whenScaled", "Retain");
    let claims = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut);
    for claim in claims.into_iter().flatten().map(object_mut) {
        fill(claim, "apiVersion", "v1");
        fill(claim, "kind", "PersistentVolumeClaim");
        fill(object_mut(claim.entry("spec").or_insert(Value::Null)), "volumeMode", "Filesystem");
        fill(claim, "status", json!({"phase": "Pending"}));
    }
}

/// The annotation in which a DaemonSet's templates are counted, from times when revisions
/// had no objects of their own.
const TEMPLATES: &str = "deprecated.daemonset.template.generation";

/// Counts the templates that a DaemonSet has had.
///
/// # Errors
/// None.
pub(in super::super) fn count_templates(
    _: &Writer<'_>,
    object: &mut Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    let count = match before {
        None => 1,
        Some(before) => {
            let known = before["metadata"]["annotations"][TEMPLATES].as_str().unwrap_or_default();
            let changed = before["spec"]["template"] != object["spec"]["template"];
            known.parse::<i64>().unwrap_or_default() + i64::from(changed)
        }
    };
    let annotations = object_mut(object.metadata_mut().entry("annotations").or_insert(Value::Null));
    annotations.insert(TEMPLATES.into(), count.to_string().into());
    Ok(())
}

pub(in super::super) fn default_daemon_set(object: &mut Value) {
    let spec = object.section_mut("spec");
    default_template(spec);
    fill(spec, "revisionHistoryLimit", 10);
    let strategy = object_mut(spec.entry("updateStrategy").or_insert(Value::Null));
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        fill(rolling, "maxUnavailable", 1);
        fill(rolling, "maxSurge", 0);
    }
}
