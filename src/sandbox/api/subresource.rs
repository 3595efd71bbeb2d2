//! Subresources of pods that change them in one way only: evictions and ephemeral containers.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    conditions,
    delete::{self, DeleteOptions},
    failure::{Cause, Failure},
    names,
    object::{Object, now, object_mut},
    resource::{POD_DISRUPTION_BUDGETS, PODS},
    selector::Selector,
    store::{Store, Writer},
    write::Place,
};

/// Deletes a pod, if its disruption budget permits.
///
/// # Errors
/// 429 where it doesn't, 404 without such a pod, 500 where several budgets select it.
pub fn evict(
    store: &Store,
    place: Place<'_>,
    eviction: &Value,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    let named = eviction.name();
    if !named.is_empty() && named != place.name {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    store.write(|writer| {
        let pod = writer.get(&PODS, place.namespace, place.name);
        let pod = pod.ok_or_else(|| Failure::not_found(&PODS, place.name))?;
        let phase = pod.text("/status/phase");
        let spared = matches!(phase, "Succeeded" | "Failed" | "Pending") || pod.is_deleting();
        if !spared {
            take_from_budget(writer, &pod, options.dry_run)?;
        }
        if !options.dry_run {
            let mut marked = Value::clone(&pod);
            let (reason, text) = ("EvictionByEvictionAPI", "Eviction API: evicting");
            conditions::set(&mut marked, "DisruptionTarget", true, reason, text);
            writer.put(&PODS, marked);
        }
        delete::delete_in(writer, place, options).map(|_| ())
    })
}

fn take_from_budget(writer: &mut Writer<'_>, pod: &Value, dry_run: bool) -> Result<(), Failure> {
    let labels = pod.labels();
    let budgets = writer.list(&POD_DISRUPTION_BUDGETS, Some(pod.namespace()));
    let mut budgets = budgets.into_iter().filter(|budget| {
        let selector = budget.pointer("/spec/selector").filter(|selector| !selector.is_null());
        let selector = selector.map(Selector::from_object);
        selector.is_some_and(|selector| selector.is_ok_and(|selector| selector.matches(&labels)))
    });
    let Some(budget) = budgets.next() else { return Ok(()) };
    if budgets.next().is_some() {
        return Err(Failure {
            code: StatusCode::INTERNAL_SERVER_ERROR,
            reason: "InternalError",
            message: "This pod has more than one PodDisruptionBudget, which the eviction \
                      subresource does not support."
                .to_owned(),
            details: Value::Null,
        });
    }
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    let (healthy, desired) = (count("currentHealthy"), count("desiredHealthy"));
    if !conditions::holds(pod, "Ready") {
        let always = budget.text("/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
        if always || (healthy >= desired && desired > 0) {
            return Ok(());
        }
    }
    let refuse = |message: &str, cause: String| {
        let causes = json!([{"reason": "DisruptionBudget", "message": cause}]);
        Failure {
            code: StatusCode::TOO_MANY_REQUESTS,
            reason: "TooManyRequests",
            message: message.to_owned(),
            details: json!({"causes": causes}),
        }
    };
    let name = budget.name();
    let generation = budget.pointer("/metadata/generation").and_then(Value::as_i64);
    if Some(count("observedGeneration")) < generation {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut failure = refuse(text, cause);
        failure.details["retryAfterSeconds"] = 10.into();
        return Err(failure);
    }
    let allowed = count("disruptionsAllowed");
    if allowed <= 0 {
        return Err(refuse(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            format!(
                "The disruption budget {name} needs {desired} healthy pods and has {healthy} \
                 currently"
            ),
        ));
    }
    if !dry_run {
        let mut budget = Value::clone(&budget);
        let status = budget.section_mut("status");
        status.insert("disruptionsAllowed".into(), (allowed - 1).into());
        let disrupted = status.entry("disruptedPods").or_insert_with(|| json!({}));
        object_mut(disrupted).insert(pod.name().to_owned(), now().into());
        writer.put(&POD_DISRUPTION_BUDGETS, budget);
    }
    Ok(())
}

/// Adds containers to a pod that runs.
///
/// # Errors
/// 422 for containers that are none, or that were there before and changed.
pub fn add_containers(
    store: &Store,
    place: Place<'_>,
    dry_run: bool,
    change: impl FnOnce(&Value) -> Result<Value, Failure>,
) -> Result<Arc<Value>, Failure> {
    store.write(|writer| {
        let before = writer.get(&PODS, place.namespace, place.name);
        let before = before.ok_or_else(|| Failure::not_found(&PODS, place.name))?;
        let after = change(&before)?;
        let version = after.text("/metadata/resourceVersion");
        if !version.is_empty() && version != before.text("/metadata/resourceVersion") {
            return Err(Failure::modified(&PODS, place.name));
        }
        let mut pod = Value::clone(&before);
        let mut wanted = after["spec"]["ephemeralContainers"].clone();
        for container in wanted.as_array_mut().into_iter().flatten() {
            let container = object_mut(container);
            for (field, usual) in [
                ("terminationMessagePath", json!("/dev/termination-log")),
                ("terminationMessagePolicy", json!("File")),
                ("imagePullPolicy", json!("IfNotPresent")),
                ("resources", json!({})),
            ] {
                container.entry(field).or_insert(usual);
            }
        }
        pod.section_mut("spec").insert("ephemeralContainers".into(), wanted);
        let causes = container_causes(&pod, &before);
        if !causes.is_empty() {
            return Err(Failure::invalid(&PODS, place.name, &causes));
        }
        Ok(if dry_run { Arc::new(pod) } else { writer.put(&PODS, pod) })
    })
}

fn container_causes(pod: &Value, before: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let lists = ["/spec/containers", "/spec/initContainers"];
    let mut seen: BTreeSet<&str> =
        lists.iter().flat_map(|list| pod.items(list)).map(|one| one.text("/name")).collect();
    let wanted = pod.items("/spec/ephemeralContainers");
    for (index, container) in wanted.iter().enumerate() {
        let field = format!("spec.ephemeralContainers[{index}]");
        let name = container.text("/name");
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if let Some(error) = names::label_error(name) {
            causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &error));
        } else if !seen.insert(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
        }
        if container.text("/image").is_empty() {
            causes.push(Cause::required(format!("{field}.image"), ""));
        }
        for forbidden in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
            if container.get(forbidden).is_some_and(|value| !value.is_null()) {
                let text = "cannot be set for an Ephemeral Container";
                causes.push(Cause::forbidden(format!("{field}.{forbidden}"), text));
            }
        }
    }
    for (index, old) in before.items("/spec/ephemeralContainers").iter().enumerate() {
        let name = old.text("/name");
        let field = format!("spec.ephemeralContainers[{index}]");
        match wanted.iter().find(|container| container.text("/name") == name) {
            None => {
                let text = format!("existing ephemeral containers {name:?} may not be removed\n");
                causes.push(Cause::forbidden("spec.ephemeralContainers", &text));
            }
            Some(container) if container != old => {
                let text = format!("existing ephemeral containers {name:?} may not be changed\n");
                causes.push(Cause::forbidden(field, &text));
            }
            Some(_) => {}
        }
    }
    causes
}
