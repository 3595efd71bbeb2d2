use serde_json::json;

use super::*;

#[test]
fn only_what_rules_are_made_of_leads_to_a_pass() {
    let pod = |status: Value, label: &str| {
        Arc::new(json!({"metadata": {"labels": {"app": label}}, "status": status}))
    };
    let running = json!({"podIP": "10.0.0.1", "phase": "Running"});
    for (message, before, after, expected) in [
        ("a new pod", None, pod(json!({}), "a"), true),
        ("an address", Some(pod(json!({}), "a")), pod(running.clone(), "a"), true),
        ("a label", Some(pod(running.clone(), "a")), pod(running.clone(), "b"), true),
        (
            "the end",
            Some(pod(running.clone(), "a")),
            pod(json!({"podIP": "10.0.0.1", "phase": "Failed"}), "a"),
            true,
        ),
        (
            "readiness",
            Some(pod(running.clone(), "a")),
            pod(json!({"podIP": "10.0.0.1", "phase": "Running", "conditions": []}), "a"),
            false,
        ),
    ] {
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        let event = Event { version: 1, resource: &PODS, change, object: after, previous: before };
        assert_eq!(wanted(&event), expected, "{message}");
    }
}
