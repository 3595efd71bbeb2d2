//! Room in the namespaces' ResourceQuotas for all probe pods together.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, ResourceQuota, ResourceQuotaSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    super::{Cluster, Error, ErrorKind, RunContext, pod_spec},
    Finding, Guest,
};

pub(super) async fn look(
    context: &RunContext,
    namespace: &str,
    pods: &[Guest<'_>],
) -> Result<Vec<Finding>, Error> {
    let quotas: Api<ResourceQuota> = Api::namespaced(context.client(), namespace);
    let what = format!("list resourcequotas in namespace {namespace}");
    match Cluster::call(what, quotas.list(&ListParams::default())).await {
        Ok(listed) => {
            let need = need(context, pods);
            Ok(listed.items.iter().flat_map(|quota| short(quota, &need)).collect())
        }
        // Admission will tell, pod by pod.
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// What all these pods together count for, under the names that quotas have for it.
fn need(context: &RunContext, pods: &[Guest<'_>]) -> BTreeMap<&'static str, f64> {
    let mut need = BTreeMap::new();
    for (_, planned) in pods {
        let container = pod_spec::container(planned, context.agent(), None);
        *need.entry("pods").or_default() += 1.0;
        *need.entry("count/pods").or_default() += 1.0;
        for (name, amount) in amounts(&container) {
            *need.entry(name).or_default() += amount;
        }
    }
    need
}

fn amounts(container: &Container) -> Vec<(&'static str, f64)> {
    let of = |list: Option<&BTreeMap<String, Quantity>>, name: &str| {
        list.and_then(|list| amount(list.get(name)?)).unwrap_or_default()
    };
    let resources = container.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let (cpu, memory) = (of(requests, "cpu"), of(requests, "memory"));
    vec![
        ("cpu", cpu),
        ("requests.cpu", cpu),
        ("memory", memory),
        ("requests.memory", memory),
        ("limits.memory", of(limits, "memory")),
    ]
}

/// What of a quota is too little.
fn short(quota: &ResourceQuota, need: &BTreeMap<&'static str, f64>) -> Vec<Finding> {
    if !quota.spec.as_ref().is_none_or(counts_probe_pods) {
        return Vec::new();
    }
    let status = quota.status.clone().unwrap_or_default();
    let (hard, used) = (status.hard.unwrap_or_default(), status.used.unwrap_or_default());
    let namespace = quota.namespace().unwrap_or_default();
    need.iter()
        .filter_map(|(&name, &need)| {
            let limit = hard.get(name)?;
            let taken = used.get(name).cloned().unwrap_or(Quantity("0".into()));
            let who = match name.ends_with("pods") {
                true => format!("{need} probe pods"),
                false => "the probe pods".to_owned(),
            };
            (amount(&taken)? + need > amount(limit)?).then(|| {
                Finding::refuse(
                    format!(
                        "ResourceQuota {namespace}/{} has no room for {who}: {name} is {} of {}",
                        quota.name_any(),
                        taken.0,
                        limit.0
                    ),
                    "raise the quota, or choose another namespace",
                )
            })
        })
        .collect()
}

/// Probe pods have a deadline (`Terminating`), requests (`NotBestEffort`), and no priority
/// class.
fn counts_probe_pods(spec: &ResourceQuotaSpec) -> bool {
    let plain = spec.scopes.iter().flatten().all(|scope| is_theirs(scope));
    let expressions = spec.scope_selector.iter().flat_map(|scopes| &scopes.match_expressions);
    let selected = expressions
        .flatten()
        .all(|expression| expression.operator == "Exists" && is_theirs(&expression.scope_name));
    plain && selected
}

fn is_theirs(scope: &str) -> bool {
    matches!(scope, "Terminating" | "NotBestEffort")
}

/// A quantity as a number; none if it isn't one.
fn amount(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let split = text
        .find(|character: char| !matches!(character, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        // `12e6` is a number of its own.
        _ => return text.parse().ok(),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_numbers() {
        for (text, expected) in [
            ("3", Some(3.0)),
            ("500m", Some(0.5)),
            ("64Mi", Some(67_108_864.0)),
            ("1e3", Some(1000.0)),
            ("2G", Some(2e9)),
            ("much", None),
        ] {
            assert_eq!(amount(&Quantity(text.into())), expected, "{text}");
        }
    }

    #[test]
    fn a_quota_without_room_is_told() {
        let need = BTreeMap::from([("pods", 3.0), ("requests.memory", 48.0 * 1_048_576.0)]);
        let quota = |spec, hard, used| -> ResourceQuota {
            serde_json::from_value(json!({
                "metadata": {"name": "q", "namespace": "shop"},
                "spec": spec,
                "status": {"hard": hard, "used": used},
            }))
            .unwrap()
        };
        for (what, quota, expected) in [
            ("room", quota(json!({}), json!({"pods": "10"}), json!({"pods": "7"})), None),
            (
                "too few pods",
                quota(json!({}), json!({"pods": "10"}), json!({"pods": "8"})),
                Some("ResourceQuota shop/q has no room for 3 probe pods: pods is 8 of 10"),
            ),
            (
                "too little memory",
                quota(json!({}), json!({"requests.memory": "32Mi"}), json!({})),
                Some(
                    "ResourceQuota shop/q has no room for the probe pods: requests.memory is 0 of 32Mi",
                ),
            ),
            (
                "a quota for other pods",
                quota(json!({"scopes": ["NotTerminating"]}), json!({"pods": "0"}), json!({})),
                None,
            ),
            ("not about pods", quota(json!({}), json!({"secrets": "0"}), json!({})), None),
        ] {
            let found = short(&quota, &need);
            let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
            assert_eq!(messages, Vec::from_iter(expected), "{what}");
        }
    }
}
