use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::plan::{PlannedPod, Role};

fn pod(name: &str, labels: &[(&str, &str)]) -> PlannedPod {
    PlannedPod {
        name: name.into(),
        namespace: "shop".into(),
        namespace_created: false,
        labels: labels.iter().map(|&(key, value)| (key.into(), value.into())).collect(),
        annotations: BTreeMap::new(),
        service_account: None,
        ports: BTreeMap::new(),
        pings: false,
        node: "node-1".into(),
        role: Role::Peer { names: vec![name.into()] },
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn service(selector: Value, publishes: bool) -> Service {
    read(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": selector, "publishNotReadyAddresses": publishes},
    }))
}

#[test]
fn a_service_that_selects_a_guest_is_told_and_one_that_publishes_it_refuses() {
    let web = pod("np-abcdef-web-0", &[("app", "web")]);
    let guests = [(PodIndex(0), &web)];
    for (what, service, expected) in [
        ("another app's", service(json!({"app": "api"}), true), None),
        ("no selector", service(json!({}), true), None),
        (
            "its app's",
            service(json!({"app": "web"}), false),
            Some(
                "Service shop/web selects probe pods (np-abcdef-web-0); a readiness gate keeps \
                 its traffic off them",
            ),
        ),
        (
            "its app's, ready or not",
            service(json!({"app": "web"}), true),
            Some(
                "Service shop/web would send its clients to probe pods (np-abcdef-web-0): it \
                 selects them and publishes pods that aren't ready",
            ),
        ),
    ] {
        let mut look = Look::new(&guests);
        look.service(&service);
        let found: Vec<&str> = look.findings.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(found, Vec::from_iter(expected), "{what}");
    }
}

#[test]
fn a_controller_adopts_whom_it_selects_and_nobody_else() {
    let (web, api) = (pod("web", &[("app", "web")]), pod("api", &[("app", "api")]));
    let guests = [(PodIndex(0), &web), (PodIndex(1), &api)];
    for (what, selector, expected) in [
        ("labels", json!({"matchLabels": {"app": "web"}}), vec![0]),
        (
            "a Deployment's, which has a hash",
            json!({"matchLabels": {"app": "web", "pod-template-hash": "x"}}),
            vec![],
        ),
        (
            "an expression",
            json!({"matchExpressions": [
                {"key": "app", "operator": "In", "values": ["web", "api"]},
            ]}),
            vec![0, 1],
        ),
        (
            "one that leaves guests out",
            json!({"matchExpressions": [
                {"key": "netproof.dev/probe", "operator": "DoesNotExist"},
            ]}),
            vec![],
        ),
        ("everything", json!({}), vec![0, 1]),
        (
            "an operator that nobody knows",
            json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}),
            vec![0, 1],
        ),
    ] {
        let mut look = Look::new(&guests);
        let sets: Vec<DaemonSet> = vec![read(json!({
            "metadata": {}, "spec": {"selector": selector, "template": {}},
        }))];
        let unseen = look
            .controllers("daemonsets", Ok(sets), |one| Some(one.spec.clone()?.selector))
            .unwrap();
        assert!(!unseen, "{what}");
        let adopted: Vec<usize> = look.adopted.iter().map(|index| index.0).collect();
        assert_eq!(adopted, expected, "{what}");
    }
}

#[test]
fn what_may_not_be_listed_is_a_warning() {
    let mut look = Look::new(&[]);
    let forbidden = || Error::new("list jobs", ErrorKind::Forbidden, "no");
    let unseen = look.controllers::<Job>("jobs", Err(forbidden()), |_| None).unwrap();
    assert!(unseen, "so that the guests get a controller of their own");
    let seen = look.seen::<Job>("poddisruptionbudgets", Err(forbidden())).unwrap();
    assert!(seen.is_none());
    look.tell_unseen("shop");
    assert_eq!(look.findings.len(), 1, "one for all kinds");
    assert_eq!(
        look.findings[0].message,
        "no permission to list jobs, poddisruptionbudgets in namespace shop: whether any of them \
         selects probe pods is not known"
    );
    assert_eq!(look.findings[0].severity, super::super::Severity::Warn);
}

#[test]
fn a_budget_is_told_what_the_guest_does_to_it() {
    let web = pod("web", &[("app", "web")]);
    let guests = [(PodIndex(0), &web)];
    let budget: PodDisruptionBudget = read(json!({
        "metadata": {"name": "pdb", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    }));
    for (adopted, expected) in [
        (
            vec![],
            "PodDisruptionBudget shop/pdb selects probe pods (web), and ignores them as unmanaged",
        ),
        (
            vec![PodIndex(0)],
            "PodDisruptionBudget shop/pdb allows no disruption while probe pods (web) live",
        ),
    ] {
        let mut look = Look { adopted: BTreeSet::from_iter(adopted), ..Look::new(&guests) };
        look.budget(&budget);
        assert_eq!(look.findings[0].message, expected);
    }
}
