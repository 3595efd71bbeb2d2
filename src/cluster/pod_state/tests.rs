use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::plan::Role;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn with_ready(status: &str, since: &str) -> Pod {
    pod(json!({
        "metadata": {"uid": "u"},
        "status": {"phase": "Running", "conditions": [
            {"type": "ContainersReady", "status": status, "lastTransitionTime": since},
        ]},
    }))
}

/// The server's clock at second 0 of a test.
const ZERO: &str = "2026-01-01T00:00:00Z";

/// A report in a test.
#[derive(Clone, Copy)]
struct Seen {
    /// The second in which it came.
    at: u64,
    ready: &'static str,
    /// The second that the condition gives as that of its last change.
    since: u64,
    /// Until which second the state before it is known.
    known: u64,
}

const fn seen(at: u64, ready: &'static str, since: u64, known: u64) -> Seen {
    Seen { at, ready, since, known }
}

fn after(reports: &[Seen]) -> (Instant, PodState) {
    // Far enough from the clock's own beginning.
    let zero = Instant::now() + Duration::from_secs(100);
    let clock: Timestamp = ZERO.parse().unwrap();
    let second = |number| zero + Duration::from_secs(number);
    let mut state = None;
    for one in reports {
        let since = clock + Duration::from_secs(one.since);
        let pod = with_ready(one.ready, &since.to_string());
        let report = Report {
            at: second(one.at),
            known: second(one.known),
            clock: clock + Duration::from_secs(one.at),
        };
        state = Some(PodState::seen(&pod, state.as_ref(), report));
    }
    (zero, state.unwrap())
}

#[test]
fn a_pod_was_ready_only_where_that_was_seen_without_a_break() {
    let broken = [seen(1, "True", 1, 1), seen(15, "False", 15, 15), seen(17, "True", 17, 17)];
    let unseen_flap = [seen(1, "True", 1, 1), seen(19, "True", 18, 10)];
    let confirmed = [seen(1, "True", 1, 1), seen(19, "True", 1, 10)];
    let late = [seen(1, "True", 1, 1), seen(30, "False", 12, 30)];
    for (what, reports, from, to, expected) in [
        ("inside a span", &broken[..], 2, 4, true),
        ("from its very begin", &broken, 1, 4, true),
        ("up to just before a break, which may have begun already", &broken, 2, 14, false),
        ("over a break", &broken, 2, 18, false),
        ("after the break", &broken, 17, 18, true),
        ("before it was first seen", &broken, 0, 2, false),
        ("before a flap that only left its time", &unseen_flap, 2, 7, true),
        ("over such a flap", &unseen_flap, 2, 19, false),
        ("after it", &unseen_flap, 19, 20, true),
        ("over a gap in which nothing changed", &confirmed, 2, 19, true),
        ("before a break that was told late", &late, 2, 9, true),
        ("inside a break that was told late", &late, 2, 13, false),
        ("never ready", &[seen(1, "False", 1, 1)], 1, 2, false),
    ] {
        let (zero, state) = after(reports);
        let at = |second| zero + Duration::from_secs(second);
        assert_eq!(state.was_ready(at(from), at(to)), expected, "{what}");
    }
}

#[test]
fn a_pod_that_goes_is_no_longer_ready() {
    let (zero, mut state) = after(&[seen(1, "True", 1, 1)]);
    let at = |second| zero + Duration::from_secs(second);
    assert_eq!(state.containers_ready_since, Some(at(1)));
    state.gone(at(9));
    assert!(state.deleted && state.containers_ready_since.is_none());
    assert!(state.was_ready(at(2), at(6)) && !state.was_ready(at(2), at(9)));
}

#[test]
fn a_pod_of_the_same_name_begins_anew() {
    let (zero, first) = after(&[seen(1, "True", 1, 1)]);
    let at = |second| zero + Duration::from_secs(second);
    let mut other = with_ready("True", ZERO);
    other.metadata.uid = Some("other".into());
    let report = Report { at: at(8), known: at(8), clock: ZERO.parse().unwrap() };
    let second = PodState::seen(&other, Some(&first), report);
    assert!(!second.was_ready(at(2), at(9)), "the first one's readiness is not its own");
}

/// The state after one report.
fn once(value: Value) -> PodState {
    let now = Instant::now();
    PodState::seen(&pod(value), None, Report { at: now, known: now, clock: Timestamp::now() })
}

#[test]
fn every_difference_from_the_plan_is_told() {
    let planned = PlannedPod {
        name: "np-abcdef-web-0".into(),
        namespace: "shop".into(),
        namespace_created: true,
        labels: BTreeMap::from([("app".into(), "web".into()), ("tier".into(), "front".into())]),
        annotations: BTreeMap::new(),
        service_account: None,
        ports: BTreeMap::new(),
        pings: false,
        node: "node-1".into(),
        role: Role::Witness,
    };
    let seen = |labels: Value, spec: Value| {
        once(json!({"metadata": {"uid": "u", "labels": labels}, "spec": spec}))
            .differs_from(&planned)
    };
    let agent = json!({"name": "netproof-probe"});
    let same =
        json!({"containers": [agent], "nodeName": "node-1", "serviceAccountName": "default"});
    let labels = json!({"app": "web", "tier": "front", "netproof.dev/probe": ""});
    for (what, found, expected) in [
        ("as planned", seen(labels.clone(), same.clone()), vec![]),
        (
            "labels of the node's zone, which every pod gets",
            seen(
                json!({
                    "app": "web", "tier": "front", "netproof.dev/probe": "",
                    "topology.kubernetes.io/zone": "a",
                }),
                same.clone(),
            ),
            vec![],
        ),
        (
            "a webhook's labels",
            seen(json!({"app": "api", "netproof.dev/probe": "", "team": "a"}), same),
            vec![
                "its label app is `api`, not `web`",
                "the label team=`a` was added to it",
                "its label tier=`front` is gone",
            ],
        ),
        (
            "a webhook's sidecar, another account, another node",
            seen(
                labels,
                json!({
                    "containers": [agent, {"name": "istio-proxy"}],
                    "initContainers": [{"name": "istio-init"}],
                    "nodeName": "node-2",
                    "serviceAccountName": "other",
                }),
            ),
            vec![
                "the container `istio-proxy` was added to it",
                "the container `istio-init` was added to it",
                "its service account is `other`, not `default`",
                "it runs on node node-2, not on node-1",
            ],
        ),
    ] {
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_label_that_was_put_right_is_not_forgotten() {
    let planned = PlannedPod {
        name: "np-aaaaaa-web-0".into(),
        namespace: "shop".into(),
        namespace_created: true,
        labels: Labels::from([("app".into(), "web".into())]),
        annotations: BTreeMap::new(),
        service_account: None,
        ports: BTreeMap::new(),
        pings: false,
        node: "node-1".into(),
        role: Role::Witness,
    };
    let report = Report { at: Instant::now(), known: Instant::now(), clock: Timestamp::now() };
    let worn = |uid: &str, app: &str, before: Option<&PodState>| {
        let labels = json!({"app": app, "netproof.dev/probe": ""});
        let pod = pod(json!({"metadata": {"uid": uid, "labels": labels}}));
        PodState::seen(&pod, before, report)
    };
    let other = worn("u", "other", Some(&worn("u", "web", None)));
    let again = worn("u", "web", Some(&other));
    assert_eq!(again.differs_from(&planned), ["its label app is `other`, not `web`"]);
    let anew = worn("v", "web", Some(&other));
    assert_eq!(anew.differs_from(&planned), Vec::<String>::new(), "it is another pod");
}

#[test]
fn a_mesh_is_known_by_its_proxy_or_its_annotation() {
    for (what, value, expected) in [
        ("plain", json!({"spec": {"containers": [{"name": "netproof-probe"}]}}), false),
        ("a proxy", json!({"spec": {"containers": [{"name": "linkerd-proxy"}]}}), true),
        (
            "a native sidecar",
            json!({"spec": {"containers": [], "initContainers": [{"name": "istio-proxy"}]}}),
            true,
        ),
        (
            "ambient",
            json!({"metadata": {"annotations": {"ambient.istio.io/redirection": "enabled"}}}),
            true,
        ),
    ] {
        assert_eq!(once(value).meshed(), expected, "{what}");
    }
}

#[test]
fn what_keeps_a_pod_is_told_with_whether_waiting_helps() {
    let found = |status: Value| {
        once(json!({"status": status}))
            .problems
            .into_iter()
            .map(|problem| format!("{}|{}|{}", problem.reason, problem.message, problem.lasting))
            .collect::<Vec<_>>()
    };
    let container = |state: Value| {
        json!({"phase": "Pending", "containerStatuses": [
            {"name": "netproof-probe", "image": "", "imageID": "", "ready": false,
             "restartCount": 0, "state": state},
        ]})
    };
    for (what, status, expected) in [
        (
            "no room",
            json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/2 nodes are available",
            }]}),
            vec!["Unschedulable|0/2 nodes are available|false"],
        ),
        ("just starting", container(json!({"waiting": {"reason": "ContainerCreating"}})), vec![]),
        (
            "a registry that does not answer",
            container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "i/o timeout"}})),
            vec!["ImagePullBackOff|i/o timeout|false"],
        ),
        (
            "a registry that has no such image",
            container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})),
            vec!["ImagePullBackOff|not found|true"],
        ),
        (
            "no image, and none will be pulled",
            container(json!({"waiting": {"reason": "ErrImageNeverPull", "message": "m"}})),
            vec!["ErrImageNeverPull|m|true"],
        ),
        (
            "the agent gave up",
            container(json!({"terminated": {
                "exitCode": 1, "reason": "Error", "message": "port 80: taken\n",
            }})),
            vec!["container netproof-probe exited with code 1 (Error)|port 80: taken|true"],
        ),
        (
            "evicted",
            json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
            vec!["Evicted|low on memory|true"],
        ),
        (
            "ended without a word",
            json!({"phase": "Succeeded"}),
            vec!["Succeeded|the agent ended|true"],
        ),
    ] {
        assert_eq!(found(status), expected, "{what}");
    }
}
