//! What a Job says of its pods' failures and of how much success is enough.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{index, is_indexed};
use crate::sandbox::api::object::Object;

/// What becomes of a Job because a pod of it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The failure counts as usual.
    Count,
    /// It doesn't count.
    Ignore,
    /// The pod's index has failed.
    FailIndex,
    /// The whole Job has failed, for this reason.
    FailJob(String),
}

/// What a Job's `podFailurePolicy` says of a pod that failed: the first rule that matches.
pub(super) fn of_failure(job: &Value, pod: &Value) -> Action {
    for (number, rule) in job.items("/spec/podFailurePolicy/rules").iter().enumerate() {
        let why = match rule.get("onExitCodes").filter(|codes| !codes.is_null()) {
            Some(codes) => by_exit_code(pod, codes),
            None => by_condition(pod, rule.items("/onPodConditions")),
        };
        let Some(why) = why else { continue };
        let action = rule.text("/action");
        return match action {
            "Ignore" => Action::Ignore,
            "FailIndex" => Action::FailIndex,
            "FailJob" => Action::FailJob(format!("{why} matching {action} rule at index {number}")),
            _ => Action::Count,
        };
    }
    Action::Count
}

fn by_exit_code(pod: &Value, wanted: &Value) -> Option<String> {
    let name = wanted["containerName"].as_str();
    let listed = |code: i64| wanted.items("/values").iter().any(|value| *value == code);
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    lists.iter().flat_map(|list| pod.items(list)).find_map(|status| {
        let code = status["state"]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0)?;
        let container = status.text("/name");
        let fits = match wanted.text("/operator") {
            "In" => listed(code),
            "NotIn" => !listed(code),
            _ => false,
        };
        (fits && name.is_none_or(|name| name == container)).then(|| {
            let (namespace, name) = (pod.namespace(), pod.name());
            format!("Container {container} for pod {namespace}/{name} failed with exit code {code}")
        })
    })
}

fn by_condition(pod: &Value, patterns: &[Value]) -> Option<String> {
    let found = pod.items("/status/conditions").iter().find(|condition| {
        let same = |pattern: &Value, field: &str| pattern[field] == condition[field];
        patterns.iter().any(|pattern| same(pattern, "type") && same(pattern, "status"))
    })?;
    let (namespace, name) = (pod.namespace(), pod.name());
    Some(format!("Pod {namespace}/{name} has condition {}", found.text("/type")))
}

/// The rule of a Job's `successPolicy` that the indexes that succeeded meet.
pub(super) fn met(job: &Value, succeeded: &BTreeSet<i64>) -> Option<usize> {
    if !is_indexed(job) || succeeded.is_empty() {
        return None;
    }
    let completions = job["spec"]["completions"].as_i64().unwrap_or_default();
    job.items("/spec/successPolicy/rules").iter().position(|rule| {
        let count = rule["succeededCount"].as_i64();
        let enough = |found: usize| {
            count.is_some_and(|count| i64::try_from(found).is_ok_and(|found| found >= count))
        };
        match rule["succeededIndexes"].as_str() {
            Some(text) => {
                let mut wanted = index::parse(text);
                wanted.retain(|place| *place < completions);
                let found = wanted.intersection(succeeded).count();
                !wanted.is_empty() && (found == wanted.len() || enough(found))
            }
            None => enough(succeeded.len()),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::example, *};

    fn failed(codes: &[(&str, i64)], condition: &str) -> Value {
        let status = |(name, code): &(&str, i64)| json!({"name": name, "state": {"terminated": {"exitCode": code}}});
        json!({
            "metadata": {"name": "p", "namespace": "shop"},
            "status": {
                "containerStatuses": codes.iter().map(status).collect::<Vec<_>>(),
                "conditions": [{"type": condition, "status": "True"}],
            },
        })
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let on = |action: &str, operator: &str, values: Value, name: Value| {
            json!({"action": action, "onExitCodes": {
                "operator": operator, "values": values, "containerName": name,
            }})
        };
        let disrupted = json!({"action": "Ignore", "onPodConditions": [
            {"type": "DisruptionTarget", "status": "True"},
        ]});
        let fails = "Container b for pod shop/p failed with exit code 42 matching FailJob rule at \
                     index 1";
        let none = Value::Null;
        for (message, rules, pod, expected) in [
            ("no rule", json!([]), failed(&[("a", 1)], "Ready"), Action::Count),
            (
                "in the list, of another container",
                json!([
                    on("Ignore", "In", json!([42]), json!("a")),
                    on("FailJob", "In", json!([41, 42]), none.clone()),
                ]),
                failed(&[("a", 1), ("b", 42)], "Ready"),
                Action::FailJob(fails.to_owned()),
            ),
            (
                "not in the list",
                json!([on("FailIndex", "NotIn", json!([1]), none.clone())]),
                failed(&[("a", 2)], "Ready"),
                Action::FailIndex,
            ),
            (
                "success is no failure",
                json!([on("FailIndex", "NotIn", json!([1]), none)]),
                failed(&[("a", 0)], "Ready"),
                Action::Count,
            ),
            ("a condition", json!([disrupted]), failed(&[("a", 1)], "DisruptionTarget"), {
                Action::Ignore
            }),
            ("another condition", json!([disrupted]), failed(&[("a", 1)], "Ready"), Action::Count),
        ] {
            let job = example(json!({"podFailurePolicy": {"rules": rules}}));
            assert_eq!(of_failure(&job, &pod), expected, "{message}");
        }
    }

    #[test]
    fn some_indexes_may_be_success_enough() {
        let rules = json!([
            {"succeededIndexes": "0,2-4", "succeededCount": 3},
            {"succeededIndexes": "5"},
            {"succeededCount": 5},
        ]);
        for (succeeded, expected) in [
            (&[][..], None),
            (&[0, 2], None),
            (&[0, 2, 4], Some(0)),
            (&[5], Some(1)),
            (&[1, 6, 7, 8, 9], Some(2)),
        ] {
            let job = example(json!({
                "completionMode": "Indexed", "completions": 10, "successPolicy": {"rules": rules},
            }));
            let succeeded = succeeded.iter().copied().collect();
            assert_eq!(met(&job, &succeeded), expected, "{succeeded:?}");
        }
    }
}
