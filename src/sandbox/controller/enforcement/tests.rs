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

#[test]
fn a_flood_is_taken_in_piece_by_piece_and_in_order() {
    let inbox = Inbox::default();
    let policy = |version: u64, name: &str| Event {
        version,
        resource: &NETWORK_POLICIES,
        change: Change::Added,
        object: Arc::new(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": version})),
        previous: None,
    };
    for version in 1..=100 {
        // Later ones come first by their names.
        inbox.observe(&policy(version, &format!("{:03}", 1000 - version)));
    }
    inbox.observe(&policy(101, "999"));
    let (reached, news) = inbox.take();
    assert_eq!((reached, news.len()), (64, AT_ONCE));
    assert!(news.iter().map(|one| one.since).eq(1..=64), "in order");
    let newest = news.first().and_then(|first| first.object.as_ref()).map(|it| it["spec"].clone());
    assert_eq!(newest, Some(json!(101)), "the first has its last state");
    let (reached, news) = inbox.take();
    assert_eq!((reached, news.len()), (101, 36));
}
