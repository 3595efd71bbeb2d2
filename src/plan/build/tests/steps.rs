//! Suites with steps and moments, as people write them.

use super::{services::STEPS, *};
use crate::plan::{PlannedChange, PodIndex};

fn ids(plan: &Plan) -> Vec<&str> {
    plan.cases().map(|case| case.id.0.as_str()).collect()
}

const MOMENTS: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
steps:
  - name: deny
    apply: [{inline: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {matchLabels: {app: b}}}}}]
    cases:
      - {name: report, from: a, to: b, port: main, expect: deny, established: report}
      - {name: open, from: b, to: a, port: main, expect: allow, established: report}
      - {name: survives, from: a, to: b, port: main, expect: deny, established: survives}
      - {name: cut, from: a, to: b, port: main, expect: deny, established: cut}
      - {name: first, from: a, to: b, port: main, expect: deny, startup: {to: b, expect: deny}}
";

#[test]
fn what_becomes_of_a_connection_is_a_claim_of_its_own() {
    let plan = planned(MOMENTS);
    for (name, expected) in [
        ("report/established", Blocked),
        ("open/established", Allowed),
        ("survives/established", Allowed),
        ("cut/established", Blocked),
    ] {
        let case = plan.cases().find(|case| case.name == name).expect(name);
        assert_eq!(case.expect, expected, "{name}");
    }
}

#[test]
fn a_claim_about_first_instants_brings_the_one_at_rest_and_a_pod_for_later() {
    let alone = Inputs { filter: filter(&["/startup"]), ..inputs(2) };
    let plan = build(&read(MOMENTS), &alone).expect("a plan");
    assert_eq!(ids(&plan), ["lab/deny/first/main/ipv4", "lab/deny/first/main/ipv4/startup"]);
    let newcomer = plan.cases().find_map(|case| case.newcomer()).expect("a new pod");
    assert!(plan.suites[0].pods.contains(&newcomer));
    assert!(
        !plan.suites[0].first_pods().contains(&newcomer),
        "it is launched when it is asked for"
    );
}

#[test]
fn steps_end_with_the_last_that_has_cases() {
    let steps = |patterns: &[&str]| {
        let inputs = Inputs { filter: filter(patterns), ..inputs(2) };
        let plan = build(&read(STEPS), &inputs).expect("a plan");
        plan.suites[0].steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(steps(&[]), ["relabel", "replace", "patch"]);
    assert_eq!(steps(&["/replace/"]), ["relabel", "replace"], "changes before it are made");
    assert_eq!(steps(&["/base/"]), Vec::<String>::new());
}

#[test]
fn pods_of_one_identity_share_its_fate_and_its_changes() {
    let text = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: a}}}
  c: {pod: {namespace: lab, labels: {app: a}}}
  to: {pod: {namespace: lab, labels: {app: to}}}
cases:
  - {name: all, from: [a, b, c], to: to, port: main, expect: allow}
steps:
  - name: relabel
    label: [{peer: a, set: {app: x}}, {peer: b, set: {app: x}}]
    cases: [{name: all, from: [a, b, c], to: to, port: main, expect: allow}]
";
    let plan = planned(text);
    let names = |index: usize| match &plan.pods[index].role {
        Role::Peer { names } => names.join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!((names(0), names(1)), ("a b".to_owned(), "c".to_owned()), "c keeps its labels");
    let changes = &plan.suites[0].steps[0].changes;
    let [PlannedChange::LabelPods { pods, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(pods, &[PodIndex(0)], "the pod of both is relabelled once");
}

#[test]
fn a_stand_in_wears_what_its_original_does() {
    let text = STEPS
        .replace(
            "from: a, to: svc, port: 80, expect: allow",
            "from: [a, b], to: svc, port: 80, expect: deny",
        )
        .replacen(
            "steps:",
            "  - {name: open, from: other, to: svc, port: 80, expect: allow}\nsteps:",
            1,
        );
    let plan = planned(&text);
    let (stand_in, of) = plan
        .pods
        .iter()
        .enumerate()
        .find_map(|(index, pod)| match pod.role {
            Role::StandIn { of } => Some((PodIndex(index), of)),
            _ => None,
        })
        .expect("a stand-in");
    let relabelled = plan.suites[0].steps[0].changes.iter().any(
        |change| matches!(change, PlannedChange::LabelPods { pods, .. } if *pods == [of, stand_in]),
    );
    assert!(relabelled, "{:#?}", plan.suites[0].steps[0].changes);
}

#[test]
fn whoever_is_pinged_or_bears_witness_may_ping() {
    let text = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
  d: {pod: {namespace: lab, labels: {app: d}}}
  far: {ip: 192.0.2.1}
cases:
  - {name: pod, from: a, to: b, port: icmp, expect: allow}
  - {name: far, from: a, to: far, port: icmp, expect: deny, reachedBy: c}
  - {name: plain, from: d, to: b, port: main, expect: allow}
";
    let plan = planned(text);
    let pings = |app: &str| {
        let name = format!("np-aaaaaa-{app}-0");
        plan.pods.iter().find(|pod| pod.name == name).expect("a pod").pings
    };
    let found: Vec<bool> = ["a", "b", "c", "d"].map(pings).into();
    assert_eq!(found, [true, true, true, false]);
}

#[test]
fn a_pod_whose_address_an_object_holds_is_launched() {
    let text = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests: [{inline: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {b: '${ipv4:b}'}}}]
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
cases: [{name: one, from: a, to: c, port: main, expect: allow}]
";
    assert!(placed(&planned(text)).iter().any(|pod| pod.contains("-b-0")));
}

#[test]
fn a_claim_is_asked_in_the_families_of_its_end_and_never_vanishes() {
    let text = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  svc: {service: {namespace: live, name: api}}
cases: [{name: one, from: a, to: svc, port: 80, expect: allow}]
";
    let place = ("live".to_owned(), "api".to_owned());
    for (cluster, service, expected) in [
        (vec![Family::Ipv4, Family::Ipv6], vec![Family::Ipv6], "lab/base/one/80/tcp/ipv6"),
        (vec![Family::Ipv4], vec![Family::Ipv6], "lab/base/one/80/tcp/ipv6"),
    ] {
        let services = [(place.clone(), service)].into();
        let inputs = Inputs { families: cluster, services, ..inputs(2) };
        let plan = build(&read(text), &inputs).expect("a plan");
        assert_eq!(ids(&plan).len(), 1, "{expected}: {:?}", ids(&plan));
        assert_eq!(plan.cases().next().expect("a case").family, Family::Ipv6, "{expected}");
    }
}

#[test]
fn a_node_s_name_that_is_no_label_value_gets_a_number() {
    let peers = [("a", Peer::Pod(pod("shop", "a"))), ("b", Peer::Pod(pod("shop", "b")))];
    let mut inputs = inputs(2);
    inputs.nodes[0].name = format!("node.{}", "x".repeat(70));
    let plan = build(&[suite("shop", peers, vec![case("a", "b", Allowed)])], &inputs);
    for pod in plan.expect("a plan").pods {
        for value in pod.labels.values() {
            assert!(value.len() <= 63, "{}: {value}", pod.name);
        }
    }
}
