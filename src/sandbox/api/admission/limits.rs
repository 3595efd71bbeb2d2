//! Limit ranges: what containers get that say nothing, and what none may exceed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    super::{
        failure::Failure,
        object::{Object, object_mut},
        resource::{LIMIT_RANGES, PODS},
        store::Writer,
    },
    Attempt,
    quantity::Quantity,
};

/// Requests or limits by resource: the amount, and how it was written.
type Amounts = BTreeMap<String, (Quantity, String)>;

/// Gives containers the default requests and limits of their namespace.
pub(super) fn complete(writer: &Writer<'_>, pod: &mut Value, namespace: &str) {
    let mut notes = Vec::new();
    for range in writer.list(&LIMIT_RANGES, Some(namespace)) {
        for item in range.items("/spec/limits").iter().filter(|item| item["type"] == "Container") {
            for list in ["containers", "initContainers"] {
                let containers = pod.section_mut("spec").get_mut(list);
                let containers = containers.and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    let what = if list == "containers" { "container" } else { "init container" };
                    fill(container, item, what, &mut notes);
                }
            }
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        let annotations = pod.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
        object_mut(annotations).insert("kubernetes.io/limit-ranger".into(), text.into());
    }
}

fn fill(container: &mut Value, item: &Value, what: &str, notes: &mut Vec<String>) {
    let name = container.text("/name").to_owned();
    for (defaults, field, called) in
        [("defaultRequest", "requests", "request"), ("default", "limits", "limit")]
    {
        let Some(defaults) = item.get(defaults).and_then(Value::as_object) else { continue };
        let resources = object_mut(container).entry("resources").or_insert_with(|| json!({}));
        let amounts = object_mut(resources).entry(field).or_insert_with(|| json!({}));
        let amounts = object_mut(amounts);
        let mut set: Vec<&str> = Vec::new();
        for (resource, amount) in defaults {
            if !amounts.contains_key(resource) {
                amounts.insert(resource.clone(), amount.clone());
                set.push(resource);
            }
        }
        if amounts.is_empty() {
            object_mut(resources).remove(field);
        }
        if !set.is_empty() {
            notes.push(format!("{} {called} for {what} {name}", set.join(", ")));
        }
    }
}

/// Refuses pods that are outside their namespace's limits.
pub(super) fn check(
    writer: &Writer<'_>,
    object: &Value,
    attempt: &Attempt<'_>,
) -> Result<(), Failure> {
    if attempt.resource != &PODS || attempt.before.is_some() {
        return Ok(());
    }
    let mut errors = Vec::new();
    for range in writer.list(&LIMIT_RANGES, Some(attempt.namespace)) {
        for item in range.items("/spec/limits") {
            let containers = object.items("/spec/containers");
            match item.text("/type") {
                kind @ "Container" => {
                    for container in containers {
                        let requests = amounts(&container["resources"]["requests"]);
                        let limits = amounts(&container["resources"]["limits"]);
                        judge(item, kind, &requests, &limits, &mut errors);
                    }
                }
                kind @ "Pod" => {
                    let of =
                        |field: &str| sum(containers.iter().map(|one| &one["resources"][field]));
                    judge(item, kind, &of("requests"), &of("limits"), &mut errors);
                }
                _ => {}
            }
        }
    }
    let detail = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(Failure::forbidden(&PODS, object.name(), &detail))
}

fn amounts(list: &Value) -> Amounts {
    let list = list.as_object().into_iter().flatten();
    list.filter_map(|(key, value)| Some((key.clone(), (Quantity::read(value)?, text(value)))))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The sum of what all of them state.
fn sum<'a>(lists: impl Iterator<Item = &'a Value>) -> Amounts {
    let lists: Vec<_> = lists.map(amounts).collect();
    let mut total = lists.first().cloned().unwrap_or_default();
    for list in lists.iter().skip(1) {
        total.retain(|key, _| list.contains_key(key));
        for (key, (sum, written)) in &mut total {
            if let Some((amount, _)) = list.get(key) {
                *sum = sum.plus(*amount);
                *written = sum.write(written);
            }
        }
    }
    total
}

fn judge(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    let none = Map::new();
    let bounds = |field: &str| item.get(field).and_then(Value::as_object).unwrap_or(&none);
    for (key, value) in bounds("min") {
        let Some(bound) = Quantity::read(value) else { continue };
        let text = text(value);
        let head = format!("minimum {key} usage per {kind} is {text}");
        match (requests.get(key), limits.get(key)) {
            (None, _) => errors.push(format!("{head}.  No request is specified")),
            (Some((request, written)), _) if *request < bound => {
                errors.push(format!("{head}, but request is {written}"));
            }
            (_, Some((limit, written))) if *limit < bound => {
                errors.push(format!("{head}, but limit is {written}"));
            }
            _ => {}
        }
    }
    for (key, value) in bounds("max") {
        let Some(bound) = Quantity::read(value) else { continue };
        let text = text(value);
        let head = format!("maximum {key} usage per {kind} is {text}");
        match (limits.get(key), requests.get(key)) {
            (None, _) => errors.push(format!("{head}.  No limit is specified")),
            (Some((limit, written)), _) if *limit > bound => {
                errors.push(format!("{head}, but limit is {written}"));
            }
            (_, Some((request, written))) if *request > bound => {
                errors.push(format!("{head}, but request is {written}"));
            }
            _ => {}
        }
    }
    for (key, value) in bounds("maxLimitRequestRatio") {
        let Some(bound) = Quantity::read(value) else { continue };
        let text = text(value);
        let head = format!("{key} max limit to request ratio per {kind} is {text}");
        let stated = |amounts: &Amounts| {
            amounts.get(key).map(|(amount, _)| *amount).filter(|amount| !amount.is_zero())
        };
        match (stated(requests), stated(limits)) {
            (None, _) => {
                errors.push(format!("{head}, but no request is specified or request is 0"));
            }
            (_, None) => errors.push(format!("{head}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.ratio(request);
                if ratio > bound.ratio(Quantity::whole(1)) {
                    errors.push(format!("{head}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}
