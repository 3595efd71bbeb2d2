//! What is wrong with a workload.

use serde_json::{Value, json};

use super::super::{
    super::{
        failure::Cause,
        names,
        object::Object,
        selector::{Requirement, Selector},
    },
    label_selector, pod,
};

const IMMUTABLE: &str = "field is immutable";
const NEGATIVE: &str = "must be greater than or equal to 0";

/// Whole numbers that must not be negative.
pub(super) fn counts(object: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    for field in fields {
        let value = &object["spec"][*field];
        if value.as_i64().is_some_and(|number| number < 0) {
            causes.push(Cause::invalid(format!("spec.{field}"), value, NEGATIVE));
        }
    }
}

/// What is wrong with the pods of a template that stands at a field.
pub(super) fn template(template: &Value, field: &str, causes: &mut Vec<Cause>) {
    let pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
    for mut cause in pod::validate(&pod, None) {
        cause.field = format!("{field}.{}", cause.field);
        causes.push(cause);
    }
    labels(template, field, causes);
}

fn labels(template: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (key, value) in template.labels() {
        let place = format!("{field}.metadata.labels");
        for error in names::label_key_errors(&key) {
            causes.push(Cause::invalid(place.clone(), &key.as_str().into(), &error));
        }
        for error in names::label_value_errors(&value) {
            causes.push(Cause::invalid(place.clone(), &value.as_str().into(), &error));
        }
    }
}

/// Pods that are to run for ever.
fn runs_for_ever(object: &Value, causes: &mut Vec<Cause>) {
    let pods = &object["spec"]["template"];
    if object.text("/kind") == "StatefulSet" {
        // Its volumes come of claims as well: only when a pod is made is it judged.
        labels(pods, "spec.template", causes);
    } else {
        template(pods, "spec.template", causes);
    }
    let policy = &object["spec"]["template"]["spec"]["restartPolicy"];
    if matches!(policy.as_str(), Some("OnFailure" | "Never")) {
        let field = "spec.template.spec.restartPolicy";
        causes.push(Cause::not_supported(field, policy, &["Always"]));
    }
    if !object.pointer("/spec/template/spec/activeDeadlineSeconds").is_none_or(Value::is_null) {
        let field = "spec.template.spec.activeDeadlineSeconds";
        causes.push(Cause::forbidden(field, "must not be specified"));
    }
}

/// A selector that must be there, must match the template, and must stay.
fn selector(object: &Value, before: Option<&Value>, called: &str, causes: &mut Vec<Cause>) {
    let selector = &object["spec"]["selector"];
    let field = "spec.selector";
    if selector.is_null() {
        causes.push(Cause::required(field, ""));
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let message = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, message));
        return;
    }
    label_selector::check(selector, field, causes);
    let labels = object["spec"]["template"].labels();
    let expressions = selector.items("/matchExpressions");
    let matches = Selector::from_map(&selector["matchLabels"]).matches(&labels)
        && expressions.iter().all(|expression| {
            Requirement::from_expression(expression).is_ok_and(|one| one.matches(&labels))
        });
    let empty = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty)
        && expressions.is_empty();
    if empty {
        let message = format!("empty selector is invalid for {called}");
        causes.push(Cause::invalid(field, selector, &message));
    } else if !matches {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let message = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, message));
    }
    if before.is_some_and(|before| before["spec"]["selector"] != *selector) {
        causes.push(Cause::invalid(field, selector, IMMUTABLE));
    }
}

/// A number or a share of the replicas; `None` for what is neither.
fn share(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.strip_suffix('%')?.parse::<u32>().ok().map(i64::from),
        number => number.as_i64(),
    }
}

fn shares(object: &Value, path: &str, fields: [&str; 2], causes: &mut Vec<Cause>) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let Some(rolling) = object.pointer(&pointer).filter(|rolling| rolling.is_object()) else {
        return;
    };
    for field in fields {
        let value = &rolling[field];
        if value.is_null() {
            continue;
        }
        let place = format!("{path}.{field}");
        match share(value) {
            None => {
                let message = "a valid percent string must be a numeric string followed by an \
                               ending '%' (e.g. '1%',  or '93%', regex used for validation is \
                               '[0-9]+%')";
                causes.push(Cause::invalid(place, value, message));
            }
            Some(number) if number < 0 => causes.push(Cause::invalid(place, value, NEGATIVE)),
            Some(number) if field == "maxUnavailable" && value.is_string() && number > 100 => {
                causes.push(Cause::invalid(place, value, "must not be greater than 100%"));
            }
            Some(_) => {}
        }
    }
    let [first, second] = fields.map(|field| share(&rolling[field]).unwrap_or_default());
    if first == 0 && second == 0 {
        let place = format!("{path}.{}", fields[0]);
        let message = format!("may not be 0 when `{}` is 0", fields[1]);
        causes.push(Cause::invalid(place, &rolling[fields[0]], &message));
    }
}

pub(in super::super) fn validate_deployment(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let fields = ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"];
    counts(object, &fields, &mut causes);
    selector(object, before, "deployment", &mut causes);
    runs_for_ever(object, &mut causes);
    let strategy = &object["spec"]["strategy"];
    match strategy["type"].as_str() {
        Some("Recreate") if !strategy["rollingUpdate"].is_null() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", detail));
        }
        Some("Recreate") => {}
        Some("RollingUpdate") => {
            let fields = ["maxUnavailable", "maxSurge"];
            shares(object, "spec.strategy.rollingUpdate", fields, &mut causes);
        }
        _ => {
            let known = &["Recreate", "RollingUpdate"];
            causes.push(Cause::not_supported("spec.strategy.type", &strategy["type"], known));
        }
    }
    let deadline = object["spec"]["progressDeadlineSeconds"].as_i64();
    let ready = object["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
    if let Some(deadline) = deadline.filter(|deadline| *deadline >= 0 && *deadline <= ready) {
        let message = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &deadline.into(), message));
    }
    causes
}

pub(in super::super) fn validate_replica_set(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    counts(object, &["replicas", "minReadySeconds"], &mut causes);
    selector(object, before, "deployment", &mut causes);
    runs_for_ever(object, &mut causes);
    causes
}

pub(in super::super) fn validate_replication_controller(
    object: &Value,
    _: Option<&Value>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    counts(object, &["replicas", "minReadySeconds"], &mut causes);
    let selector = &object["spec"]["selector"];
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        causes.push(Cause::required("spec.selector", ""));
    }
    if object["spec"]["template"].is_null() {
        causes.push(Cause::required("spec.template", ""));
        return causes;
    }
    let labels = object["spec"]["template"].labels();
    if !Selector::from_map(selector).matches(&labels) {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let message = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, message));
    }
    runs_for_ever(object, &mut causes);
    causes
}

pub(in super::super) fn validate_stateful_set(
    object: &Value,
    before: Option<&Value>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    counts(object, &["replicas", "minReadySeconds", "revisionHistoryLimit"], &mut causes);
    selector(object, None, "statefulset", &mut causes);
    runs_for_ever(object, &mut causes);
    let spec = &object["spec"];
    let policy = &spec["podManagementPolicy"];
    if !matches!(policy.as_str(), Some("OrderedReady" | "Parallel")) {
        let known = &["OrderedReady", "Parallel"];
        causes.push(Cause::not_supported("spec.podManagementPolicy", policy, known));
    }
    let strategy = &spec["updateStrategy"];
    match strategy["type"].as_str() {
        Some("OnDelete") if !strategy["rollingUpdate"].is_null() => {
            let message = "only allowed for updateStrategy 'RollingUpdate'";
            let field = "spec.updateStrategy.rollingUpdate";
            causes.push(Cause::invalid(field, &strategy["rollingUpdate"], message));
        }
        Some("OnDelete" | "RollingUpdate") => {}
        _ => {
            let known = &["OnDelete", "RollingUpdate"];
            causes.push(Cause::not_supported("spec.updateStrategy.type", &strategy["type"], known));
        }
    }
    let partition = &strategy["rollingUpdate"]["partition"];
    if partition.as_i64().is_some_and(|number| number < 0) {
        let field = "spec.updateStrategy.rollingUpdate.partition";
        causes.push(Cause::invalid(field, partition, NEGATIVE));
    }
    let frozen = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            if let Some(map) = spec.as_object_mut() {
                map.remove(field);
            }
        }
        spec
    };
    if before.is_some_and(|before| frozen(before) != frozen(object)) {
        causes.push(Cause::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
             'template', 'updateStrategy', 'revisionHistoryLimit', \
             'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    causes
}

pub(in super::super) fn validate_daemon_set(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    counts(object, &["minReadySeconds", "revisionHistoryLimit"], &mut causes);
    selector(object, before, "daemonset", &mut causes);
    runs_for_ever(object, &mut causes);
    let strategy = &object["spec"]["updateStrategy"];
    match strategy["type"].as_str() {
        Some("OnDelete") => {}
        Some("RollingUpdate") => {
            let fields = ["maxUnavailable", "maxSurge"];
            shares(object, "spec.updateStrategy.rollingUpdate", fields, &mut causes);
        }
        _ => {
            let known = &["RollingUpdate", "OnDelete"];
            causes.push(Cause::not_supported("spec.updateStrategy.type", &strategy["type"], known));
        }
    }
    causes
}

pub(in super::super) fn validate_disruption_budget(
    object: &Value,
    _: Option<&Value>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let message = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", spec, message));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let value = &spec[field];
        let place = format!("spec.{field}");
        match share(value) {
            _ if value.is_null() => {}
            None => {
                let message = "a valid percent string must be a numeric string followed by an \
                               ending '%' (e.g. '1%',  or '93%', regex used for validation is \
                               '[0-9]+%')";
                causes.push(Cause::invalid(place, value, message));
            }
            Some(number) if number < 0 => causes.push(Cause::invalid(place, value, NEGATIVE)),
            Some(number) if value.is_string() && number > 100 => {
                causes.push(Cause::invalid(place, value, "must not be greater than 100%"));
            }
            Some(_) => {}
        }
    }
    causes
}
