//! What policies are taken to say of a case: before and after its rounds, of whoever was met.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::Labels,
    plan::{Plan, PodIndex},
    policy::Outcome,
    run::round::tests::{address, live, planned, short},
};

const SHOP: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests: [{inline: {apiVersion: v1, kind: Service, metadata: {name: back}, spec: {ports: [{port: 80, targetPort: main}], selector: {tier: back}}}}]
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b, tier: back}}}
  c: {pod: {namespace: lab, labels: {app: c, tier: back}}}
  svc: {service: {namespace: lab, name: back}}
  name: {host: 'back.${namespace:lab}.svc'}
cases:
  - {name: pod, from: a, to: b, port: main, expect: deny}
  - {name: service, from: a, to: svc, port: 80, expect: deny}
  - {name: name, from: a, to: name, port: 80, expect: deny}
";

const VIP: &str = "10.96.0.7";

/// The plan's pods and their Service, with labels that may have become others, and with
/// policies that close pods of these labels.
fn read(plan: &Plan, relabelled: &[(&str, &str)], closed: &[&str]) -> Reading {
    let lab = &plan.suites[0].namespaces[0].name;
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "back", "namespace": lab},
            "spec": {
                "clusterIP": VIP, "clusterIPs": [VIP], "selector": {"tier": "back"},
                "ports": [{"port": 80, "targetPort": 8080}],
            },
        }),
    ];
    for (index, pod) in plan.pods.iter().enumerate() {
        let mut labels: Labels = pod.labels.clone();
        for (_, app) in relabelled.iter().filter(|(name, _)| *name == short(&pod.name)) {
            labels.insert("app".to_owned(), (*app).to_owned());
        }
        let ip = address(PodIndex(index)).to_string();
        objects.push(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": labels},
            "spec": {"nodeName": pod.node, "containers": [{"name": "agent"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
        }));
    }
    let policy = |app: &&str| -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("close-{app}"), "namespace": lab},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]},
        })
    };
    objects.extend(closed.iter().map(policy));
    let policies = PolicySet::read(&objects, "default", Origin::Stored).expect("policies");
    Ok(Compiled::new(policies, topology::build(&objects, "default").topology))
}

fn case<'p>(plan: &'p Plan, name: &str) -> &'p PlannedCase {
    plan.cases().find(|case| case.name == name).expect("a case")
}

#[tokio::test]
async fn what_changed_during_the_rounds_leaves_undetermined_what_the_policies_say() {
    use Outcome::{Allowed, Denied, Undetermined};
    let plan = planned(SHOP);
    let live = live(&plan).await;
    let met = Met { address: None, by: None };
    let unread = || Err("not now".to_owned());
    for (what, before, after, expected, word) in [
        ("nothing changed, open", read(&plan, &[], &[]), read(&plan, &[], &[]), Allowed, None),
        (
            "nothing changed, closed",
            read(&plan, &[], &["b"]),
            read(&plan, &[], &["b"]),
            Denied,
            None,
        ),
        (
            "a policy came",
            read(&plan, &[], &[]),
            read(&plan, &[], &["b"]),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        (
            "a policy went",
            read(&plan, &[], &["b"]),
            read(&plan, &[], &[]),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        (
            "the pod was relabelled out of it",
            read(&plan, &[], &["b"]),
            read(&plan, &[("b", "x")], &["b"]),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        (
            "the pod was relabelled into it",
            read(&plan, &[("b", "x")], &["b"]),
            read(&plan, &[], &["b"]),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        (
            "a policy of another pod came",
            read(&plan, &[], &["b"]),
            read(&plan, &[], &["b", "c"]),
            Denied,
            None,
        ),
        (
            "another pod was relabelled",
            read(&plan, &[], &["b"]),
            read(&plan, &[("c", "x")], &["b"]),
            Denied,
            None,
        ),
        (
            "unread at first",
            unread(),
            read(&plan, &[], &["b"]),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        (
            "unread at last",
            read(&plan, &[], &["b"]),
            unread(),
            Undetermined,
            Some("changedMeanwhile"),
        ),
        ("never read", unread(), unread(), Undetermined, Some("unreadable")),
    ] {
        let spec = spec(&live, case(&plan, "pod"), &met, (&before, &after));
        assert_eq!(spec.outcome, expected, "{what}: {}", spec.because);
        assert_eq!(spec.doubts.first().map(String::as_str), word, "{what}: {}", spec.because);
    }
}

#[tokio::test]
async fn behind_a_service_it_is_whoever_answered_and_else_all_who_may_have() {
    use Outcome::{Allowed, Denied, Undetermined};
    let plan = planned(SHOP);
    let live = live(&plan).await;
    let index = |name: &str| plan.pods.iter().position(|pod| short(&pod.name) == name);
    let own = |name: &str| Some(address(PodIndex(index(name).expect("a pod"))));
    let named = |name: &str| plan.pods[index(name).expect("a pod")].name.as_str();
    let vip = VIP.parse().ok();
    let (a, b, c) = (named("a"), named("b"), named("c"));
    for (what, name, address, by, expected) in [
        ("the closed one answered", "service", vip, Some(b), Denied),
        ("the open one answered", "service", vip, Some(c), Allowed),
        ("nobody answered", "service", vip, None, Undetermined),
        ("a pod that isn't behind it answered", "service", vip, Some(a), Undetermined),
        ("the closed one's own address, silent", "service", own("b"), None, Denied),
        ("the open one's own address, silent", "service", own("c"), None, Allowed),
        ("by name, the closed one answered", "name", vip, Some(b), Denied),
        ("by name, the open one answered", "name", vip, Some(c), Allowed),
        ("by name, nobody answered", "name", vip, None, Undetermined),
        ("by name, not resolved", "name", None, None, Undetermined),
        ("a pod by its own address", "pod", own("b"), Some(b), Denied),
    ] {
        let reading = read(&plan, &[], &["b"]);
        let spec = spec(&live, case(&plan, name), &Met { address, by }, (&reading, &reading));
        assert_eq!(spec.outcome, expected, "{what}: {}", spec.because);
    }
}
