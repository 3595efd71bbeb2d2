//! Which pods a quota is about.

use serde_json::Value;

use super::super::super::object::Object;

/// Whether a quota is about some pods only.
pub(super) fn is_scoped(quota: &Value) -> bool {
    !quota.items("/spec/scopes").is_empty()
        || !quota.items("/spec/scopeSelector/matchExpressions").is_empty()
}

/// Whether a quota is about a pod.
pub(super) fn matches(quota: &Value, pod: &Value) -> bool {
    let plain = quota.items("/spec/scopes").iter().filter_map(Value::as_str);
    let selected = quota.items("/spec/scopeSelector/matchExpressions").iter();
    plain
        .map(|scope| (scope, &Value::Null))
        .chain(selected.map(|one| (one.text("/scopeName"), one)))
        .all(|(scope, selector)| is_in(scope, selector, pod))
}

fn is_in(scope: &str, selector: &Value, pod: &Value) -> bool {
    let ends = pod
        .pointer("/spec/activeDeadlineSeconds")
        .is_some_and(|deadline| deadline.as_i64() >= Some(0));
    let best_effort = pod.text("/status/qosClass") == "BestEffort";
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = pod.text("/spec/priorityClassName");
            let listed = selector.items("/values").iter().any(|value| value == class);
            match selector.text("/operator") {
                "In" => listed,
                "NotIn" => !class.is_empty() && !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
            let terms = |list: &str| pod.items(&format!("/spec/affinity/{kind}/{list}")).to_vec();
            let required = terms("requiredDuringSchedulingIgnoredDuringExecution");
            let preferred = terms("preferredDuringSchedulingIgnoredDuringExecution");
            let preferred = preferred.into_iter().map(|term| term["podAffinityTerm"].clone());
            required.into_iter().chain(preferred).any(|term| {
                !term.items("/namespaces").is_empty() || !term["namespaceSelector"].is_null()
            })
        }),
        _ => false,
    }
}
