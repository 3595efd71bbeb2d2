//! Quotas: how much of everything a namespace may hold.

mod scope;
mod usage;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        failure::Failure,
        object::{Object, object_mut},
        resource::{ALL, PODS, RESOURCE_QUOTAS, Resource},
        store::{Change, Event, Store, Writer},
    },
    Attempt,
    quantity::Quantity,
};

/// Amounts by the name under which quotas count them.
type Amounts = BTreeMap<String, Quantity>;

/// Refuses what a quota has no room for.
///
/// # Errors
/// 403 with what was requested, what is used and what is the limit.
pub(super) fn check(
    writer: &Writer<'_>,
    object: &Value,
    attempt: &Attempt<'_>,
) -> Result<(), Failure> {
    if !attempt.resource.namespaced {
        return Ok(());
    }
    let refuse = |detail: String| Failure::forbidden(attempt.resource, object.name(), &detail);
    for quota in writer.list(&RESOURCE_QUOTAS, Some(attempt.namespace)) {
        if attempt.resource == &RESOURCE_QUOTAS && quota.name() == object.name() {
            continue;
        }
        let hard = amounts(&quota["spec"]["hard"]);
        if attempt.resource == &PODS && !scope::matches(&quota, object) {
            continue;
        }
        if attempt.resource != &PODS && scope::is_scoped(&quota) {
            continue;
        }
        let mut requested = usage::of(attempt.resource, object);
        requested.retain(|key, _| hard.contains_key(key));
        if let Some(before) = attempt.before {
            let before = usage::of(attempt.resource, before);
            requested.retain(|key, amount| before.get(key).is_none_or(|before| *before < *amount));
            if requested.is_empty() {
                continue;
            }
        }
        if attempt.resource == &PODS && attempt.before.is_none() {
            usage::constraints(&hard, object)
                .map_err(|error| refuse(format!("failed quota: {}: {error}", quota.name())))?;
        }
        requested.retain(|_, amount| !amount.is_zero());
        if requested.is_empty() {
            continue;
        }
        let mut used = used(writer, &quota, attempt.namespace);
        if let Some(before) = attempt.before {
            // What the object takes already is not asked for again.
            for (key, amount) in usage::of(attempt.resource, before) {
                if let Some(used) = used.get_mut(&key) {
                    *used = used.minus(amount);
                }
            }
        }
        let exceeded: Vec<&String> = requested
            .iter()
            .filter(|(key, amount)| {
                let used = used.get(*key).copied().unwrap_or_default();
                hard.get(*key).is_some_and(|hard| used.plus(**amount) > *hard)
            })
            .map(|(key, _)| key)
            .collect();
        if !exceeded.is_empty() {
            let spec = &quota["spec"]["hard"];
            let tell = |amounts: &Amounts| {
                let texts = exceeded.iter().map(|key| {
                    let amount = amounts.get(*key).copied().unwrap_or_default();
                    format!("{key}={}", amount.write(&written(spec, key)))
                });
                texts.collect::<Vec<_>>().join(",")
            };
            let (requested, used, hard) = (tell(&requested), tell(&used), tell(&hard));
            return Err(refuse(format!(
                "exceeded quota: {}, requested: {requested}, used: {used}, limited: {hard}",
                quota.name()
            )));
        }
    }
    Ok(())
}

fn amounts(list: &Value) -> Amounts {
    let list = list.as_object().into_iter().flatten();
    list.filter_map(|(key, value)| Some((key.clone(), Quantity::read(value)?))).collect()
}

fn written(list: &Value, key: &str) -> String {
    let value = &list[key];
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a namespace holds of the things that a quota counts.
fn used(writer: &Writer<'_>, quota: &Value, namespace: &str) -> Amounts {
    let hard = amounts(&quota["spec"]["hard"]);
    let mut used: Amounts = hard.keys().map(|key| (key.clone(), Quantity::default())).collect();
    let scoped = scope::is_scoped(quota);
    for resource in ALL.iter().copied().filter(|resource| is_counted(resource, &hard)) {
        if scoped && resource != &PODS {
            continue;
        }
        for object in writer.list(resource, Some(namespace)) {
            if resource == &PODS && !scope::matches(quota, &object) {
                continue;
            }
            for (key, amount) in usage::of(resource, &object) {
                if let Some(sum) = used.get_mut(&key) {
                    *sum = sum.plus(amount);
                }
            }
        }
    }
    used
}

/// Whether any of the names counts objects of a kind.
fn is_counted(resource: &Resource, hard: &Amounts) -> bool {
    resource.namespaced && (resource == &PODS || hard.keys().any(|key| usage::names(resource, key)))
}

/// Keeps `status` of every quota up to date, until cancelled.
pub async fn keep_count(store: Arc<Store>, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        let phase = |object: &Value| object.text("/status/phase").to_owned();
        event.resource.namespaced
            && match event.change {
                Change::Added | Change::Deleted => true,
                Change::Modified if event.resource == &PODS => event
                    .previous
                    .as_ref()
                    .is_none_or(|before| phase(before) != phase(&event.object)),
                Change::Modified => {
                    event.resource == &RESOURCE_QUOTAS || event.resource.plural == "services"
                }
            }
    }
    let signal = store.signal(wanted);
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        // Mostly there are none, and then nobody else waits.
        if store.list(&RESOURCE_QUOTAS, None).0.is_empty() {
            continue;
        }
        store.write(|writer| {
            for quota in writer.list(&RESOURCE_QUOTAS, None) {
                let spec = &quota["spec"]["hard"];
                let used: Map<String, Value> = used(writer, &quota, quota.namespace())
                    .into_iter()
                    .map(|(key, amount)| (key.clone(), amount.write(&written(spec, &key)).into()))
                    .collect();
                let status = json!({"hard": spec, "used": used});
                if quota["status"] != status {
                    let mut quota = Value::clone(&quota);
                    object_mut(&mut quota).insert("status".into(), status);
                    writer.put(&RESOURCE_QUOTAS, quota);
                }
            }
        });
    }
}
