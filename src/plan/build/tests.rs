//! Plans, from suites made by hand and by chance.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{Connectivity, Connectivity::*, Port},
    plan::{Node, Pattern, PlannedPod, Role},
    suite::{Case, CasePort, Location, Manifest, Peer, PodPeer, ServicePeer, SetupNamespace},
};

mod laws;
mod names;
mod services;
mod steps;
mod witnesses;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pod(namespace: &str, app: &str) -> PodPeer {
    PodPeer {
        namespace: namespace.to_owned(),
        labels: labels(&[("app", app)]),
        ports: [("main".to_owned(), "8080/tcp".parse().unwrap())].into(),
        ..PodPeer::default()
    }
}

fn service(namespace: &str, name: &str) -> Peer {
    Peer::Service(ServicePeer { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn case(from: &str, to: &str, expect: Connectivity) -> Case {
    Case {
        name: format!("{from}-{to}"),
        from: from.to_owned(),
        to: to.to_owned(),
        port: CasePort { label: "main".to_owned(), port: "8080/tcp".parse().unwrap() },
        expect,
        within: None,
        timeout: None,
        family: None,
        because: None,
        evidence: Default::default(),
        denial: None,
        reached_by: None,
        ask: Default::default(),
        established: None,
        startup: None,
        location: Location { file: "shop.yaml".to_owned(), line: 1, column: 1 },
    }
}

fn suite<const N: usize>(name: &str, peers: [(&str, Peer); N], cases: Vec<Case>) -> Suite {
    Suite {
        name: name.to_owned(),
        description: None,
        setup: crate::suite::Setup {
            namespaces: [("shop".to_owned(), SetupNamespace::default())].into(),
            manifests: Vec::new(),
        },
        peers: peers.map(|(name, peer)| (name.to_owned(), peer)).into(),
        cases,
        steps: Vec::new(),
        within: std::time::Duration::from_secs(30),
    }
}

fn inputs(nodes: usize) -> Inputs {
    let node = |number| Node {
        name: format!("node-{number}"),
        labels: labels(&[("zone", if number > 2 { "far" } else { "near" })]),
    };
    Inputs {
        run: RunId::from_random(0),
        nodes: (1..=nodes).map(node).collect(),
        families: vec![Family::Ipv4],
        services: BTreeMap::new(),
        control_namespace: None,
        filter: Filter::default(),
        max_nodes: 2,
    }
}

fn filter(patterns: &[&str]) -> Filter {
    Filter::from(patterns.iter().map(|text| text.parse().unwrap()).collect::<Vec<Pattern>>())
}

const HEAD: &str = "apiVersion: netproof.dev/v1alpha1\nkind: Suite\n";

/// Suites as people write them, without their first two lines.
fn read(text: &str) -> Vec<Suite> {
    let nowhere = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let (suites, mistakes) = crate::suite::parse("lab.yaml", &format!("{HEAD}{text}"), &nowhere);
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    suites
}

fn planned(text: &str) -> Plan {
    build(&read(text), &inputs(2)).expect("a plan")
}

/// The suites' own pods as `name@node`.
fn placed(plan: &Plan) -> Vec<String> {
    let own = |pod: &&PlannedPod| matches!(pod.role, Role::Peer { .. } | Role::StandIn { .. });
    plan.pods.iter().filter(own).map(|pod| format!("{}@{}", pod.name, pod.node)).collect()
}

/// The names of a case's witnesses.
fn witnesses(plan: &Plan, case: &str) -> Vec<String> {
    let case = plan.cases().find(|planned| planned.name == case).expect(case);
    case.witnesses.iter().map(|&index| plan.pod(index).name.clone()).collect()
}

#[test]
fn a_host_name_may_refer_to_a_namespace_of_the_suite() {
    let host = Peer::Host("api.${namespace:shop}.svc".to_owned());
    let peers = [("web", Peer::Pod(pod("shop", "web"))), ("api", host)];
    let plan = build(&[suite("shop", peers, vec![case("web", "api", Allowed)])], &inputs(2));
    let plan = plan.unwrap();
    let destination = &plan.cases().next().unwrap().destination;
    assert_eq!(*destination, Destination::Host("api.np-aaaaaa-shop.svc".to_owned()));
}

#[test]
fn control_pods_are_told_apart_by_run_only_where_runs_may_meet() {
    let suites = [suite(
        "shop",
        [("web", Peer::Pod(pod("shop", "web"))), ("far", Peer::Host("far.example".to_owned()))],
        vec![case("web", "far", Blocked)],
    )];
    for (given, labelled) in [(None, false), (Some("lab".to_owned()), true)] {
        let plan =
            build(&suites, &Inputs { control_namespace: given.clone(), ..inputs(2) }).unwrap();
        for pod in plan.pods.iter().filter(|pod| !matches!(pod.role, Role::Peer { .. })) {
            let run = pod.labels.get("netproof.dev/control-run").map(String::as_str);
            assert_eq!(run, labelled.then_some("aaaaaa"), "{} in {given:?}", pod.name);
        }
    }
}

#[test]
fn peers_of_one_identity_share_a_pod_and_its_ports() {
    let mut twin = pod("shop", "web");
    twin.ports = [("admin".to_owned(), "9090/tcp".parse().unwrap())].into();
    let mut clash = pod("shop", "web");
    clash.ports = [("main".to_owned(), "8081/tcp".parse().unwrap())].into();
    let mut http = pod("shop", "web");
    http.ports = [("front".to_owned(), "9090/http".parse().unwrap())].into();
    let peers = [
        ("a", Peer::Pod(pod("shop", "web"))),
        ("b", Peer::Pod(twin)),
        ("c", Peer::Pod(clash)),
        ("d", Peer::Pod(http)),
    ];
    let cases = vec![case("a", "c", Allowed), case("b", "d", Allowed)];
    let plan = build(&[suite("shop", peers, cases)], &inputs(2)).unwrap();
    let ports = |port: &str| port.parse::<Port>().unwrap();
    assert_eq!(placed(&plan), ["np-aaaaaa-a-0@node-1", "np-aaaaaa-c-0@node-2"]);
    let names = |index: usize| match &plan.pods[index].role {
        Role::Peer { names } => names.join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!((names(0), names(1)), ("a b".to_owned(), "c d".to_owned()));
    assert_eq!(
        plan.pods[0].ports,
        BTreeMap::from([
            ("admin".to_owned(), ports("9090/tcp")),
            ("main".to_owned(), ports("8080/tcp")),
        ])
    );
}

#[test]
fn whatever_a_policy_or_a_pod_can_tell_apart_is_an_identity_of_its_own() {
    type Differ = fn(&mut PodPeer);
    let rows: [(&str, Differ); 6] = [
        ("namespace", |peer| peer.namespace = "lab".to_owned()),
        ("labels", |peer| peer.labels = labels(&[("app", "web"), ("tier", "front")])),
        ("service account", |peer| peer.service_account = Some("web".to_owned())),
        ("node", |peer| peer.node = Some(labels(&[("zone", "near")]))),
        ("annotations", |peer| peer.annotations = labels(&[("mesh", "no")])),
        ("one port name, two ports", |peer| {
            peer.ports = [("main".to_owned(), "9090/tcp".parse().unwrap())].into();
        }),
    ];
    for (what, change) in rows {
        let mut other = pod("shop", "web");
        change(&mut other);
        let peers = [("a", Peer::Pod(pod("shop", "web"))), ("b", Peer::Pod(other))];
        let plan = build(&[suite("shop", peers, vec![case("a", "b", Allowed)])], &inputs(2));
        assert_eq!(placed(&plan.unwrap()).len(), 2, "they differ by {what}");
    }
}

#[test]
fn pods_go_round_the_first_nodes_and_where_their_labels_want() {
    let mut far = pod("shop", "far");
    far.node = Some(labels(&[("zone", "far")]));
    let peers = [
        ("a", Peer::Pod(pod("shop", "a"))),
        ("b", Peer::Pod(far)),
        ("c", Peer::Pod(pod("shop", "c"))),
        ("d", Peer::Pod(pod("shop", "d"))),
    ];
    let cases = vec![case("a", "b", Allowed), case("c", "d", Allowed)];
    let suites = [suite("shop", peers, cases)];
    let plan = build(&suites, &inputs(4)).unwrap();
    assert_eq!(
        placed(&plan),
        [
            "np-aaaaaa-a-0@node-1",
            "np-aaaaaa-b-0@node-3",
            "np-aaaaaa-c-0@node-2",
            "np-aaaaaa-d-0@node-1"
        ]
    );
    assert_eq!(plan.nodes, ["node-1", "node-2", "node-3"]);
    assert_eq!(plan.controls.len(), 3, "each node in use has its controls");

    let error = build(&suites, &inputs(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "suite shop: no usable node fits peer b, which asks for zone=far"
    );
    assert_eq!(build(&suites, &inputs(0)), Err(PlanError::NoNodes));
}

#[test]
fn a_filter_leaves_only_what_its_cases_need() {
    let peers = [
        ("a", Peer::Pod(pod("shop", "a"))),
        ("b", Peer::Pod(pod("shop", "b"))),
        ("c", Peer::Pod(pod("shop", "c"))),
    ];
    let cases = vec![case("a", "b", Allowed), case("a", "c", Blocked)];
    let other = suite(
        "other",
        [("x", Peer::Pod(pod("shop", "x"))), ("y", Peer::Pod(pod("shop", "y")))],
        vec![case("x", "y", Allowed)],
    );
    let suites = [suite("shop", peers, cases), other];
    let plan = build(&suites, &Inputs { filter: filter(&["a-c"]), ..inputs(2) }).unwrap();
    assert_eq!(placed(&plan), ["np-aaaaaa-a-0@node-1", "np-aaaaaa-c-0@node-1"]);
    assert_eq!((plan.suites.len(), plan.filtered_out), (1, 2));

    let none = build(&suites, &Inputs { filter: filter(&["nothing"]), ..inputs(2) }).unwrap();
    assert_eq!((none.suites.len(), none.pods.len(), none.filtered_out), (0, 0, 3));
}
