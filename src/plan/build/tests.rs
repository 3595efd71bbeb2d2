//! Plans, from suites made by hand and by chance.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    model::{Connectivity, Connectivity::*, Port},
    plan::{Node, Pattern, PlannedPod, Role},
    suite::{Case, CasePort, Location, Manifest, Peer, PodPeer, ServicePeer, SetupNamespace},
};

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

#[test]
fn a_service_keeps_its_backends_and_gets_witnesses_on_the_source_node() {
    let mut shop = suite(
        "shop",
        [
            ("a", Peer::Pod(pod("shop", "a"))),
            ("b", Peer::Pod(pod("shop", "b"))),
            ("back", Peer::Pod(pod("shop", "back"))),
            ("c", Peer::Pod(pod("shop", "c"))),
            ("svc", service("shop", "back")),
        ],
        vec![case("a", "svc", Allowed), case("b", "svc", Blocked), case("c", "svc", Blocked)],
    );
    shop.setup.manifests = vec![Manifest {
        source: "shop.yaml".to_owned(),
        objects: vec![json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "back", "namespace": "shop"},
            "spec": {"selector": {"app": "back"}, "ports": [{"port": 8080}]},
        })],
    }];
    let plan = build(std::slice::from_ref(&shop), &inputs(2)).unwrap();
    assert_eq!(
        placed(&plan),
        [
            "np-aaaaaa-a-0@node-1",
            "np-aaaaaa-b-0@node-2",
            "np-aaaaaa-back-0@node-1",
            "np-aaaaaa-c-0@node-2",
            "np-aaaaaa-a-stand-in-0@node-2",
        ]
    );
    let control = |node: &str| format!("np-aaaaaa-witness-{node}-0");
    assert_eq!(witnesses(&plan, "a-svc"), [control("node-1")], "no pod witnesses for itself");
    for case in ["b-svc", "c-svc"] {
        assert_eq!(
            witnesses(&plan, case),
            ["np-aaaaaa-a-stand-in-0".to_owned(), control("node-2")],
            "{case} shares the stand-in"
        );
    }
    assert_eq!(
        plan.suites[0].cases[0].destination,
        Destination::Service { namespace: "np-aaaaaa-shop".to_owned(), name: "back".to_owned() }
    );

    let alone = Inputs { filter: filter(&["b-svc"]), ..inputs(2) };
    let plan = build(&[shop], &alone).unwrap();
    assert_eq!(
        placed(&plan),
        [
            "np-aaaaaa-a-0@node-1",
            "np-aaaaaa-b-0@node-2",
            "np-aaaaaa-back-0@node-1",
            "np-aaaaaa-a-stand-in-0@node-2",
        ],
        "the filter keeps who bears witness"
    );
}

#[test]
fn a_foreign_address_is_witnessed_by_whom_the_case_names_or_by_the_control_pod() {
    let peers = [
        ("a", Peer::Pod(pod("shop", "a"))),
        ("b", Peer::Pod(pod("shop", "b"))),
        ("far", Peer::Ip("fd00::1".parse().unwrap())),
        ("name", Peer::Host("far.example".to_owned())),
    ];
    let named = Case { reached_by: Some("b".to_owned()), ..case("a", "far", Blocked) };
    let plan = build(&[suite("shop", peers, vec![named, case("a", "name", Blocked)])], &inputs(2))
        .unwrap();
    assert_eq!(witnesses(&plan, "a-far"), ["np-aaaaaa-b-0"]);
    assert_eq!(witnesses(&plan, "a-name"), ["np-aaaaaa-witness-node-1-0"]);
    assert_eq!(
        plan.cases().map(|case| case.id.0.as_str()).collect::<Vec<_>>(),
        ["shop/base/a-far/main/ipv6", "shop/base/a-name/main/ipv4"],
        "an address has one family, whatever the cluster has"
    );
}

#[test]
fn namespaces_are_named_once() {
    let peers = || [("a", Peer::Pod(pod("shop", "a"))), ("b", Peer::Pod(pod("live", "b")))];
    let cases = || vec![case("a", "b", Allowed)];
    let (one, mut two) = (suite("one", peers(), cases()), suite("two", peers(), cases()));
    let namespaces = |plan: &Plan| -> Vec<String> {
        let suites = plan.suites.iter().flat_map(|suite| &suite.namespaces);
        suites.map(|namespace| namespace.name.clone()).collect()
    };
    let plan = build(&[one.clone(), two.clone()], &inputs(2)).unwrap();
    assert_eq!(namespaces(&plan), ["np-aaaaaa-one-shop", "np-aaaaaa-two-shop"]);
    let created: Vec<_> = plan.pods[..2].iter().map(|pod| pod.namespace_created).collect();
    assert_eq!(created, [true, false], "live is not the run's own");

    let control = SetupNamespace::default();
    two.setup.namespaces = [("control".to_owned(), control)].into();
    let plan = build(&[one.clone(), two.clone()], &inputs(2)).unwrap();
    assert_eq!(plan.control_namespace.name, "np-aaaaaa-control");
    assert_eq!(namespaces(&plan), ["np-aaaaaa-shop", "np-aaaaaa-two-control"]);

    let fixed = SetupNamespace { name: Some("demo".to_owned()), ..SetupNamespace::default() };
    let (mut one, mut two) = (one, two);
    one.setup.namespaces = [("shop".to_owned(), fixed.clone())].into();
    two.setup.namespaces = [("shop".to_owned(), fixed)].into();
    assert_eq!(
        build(&[one, two], &inputs(2)).unwrap_err().to_string(),
        "suite two: setup.namespaces.shop would be the second namespace demo"
    );
}

#[test]
fn cluster_scoped_objects_get_the_runs_suffix_and_references_follow() {
    let mut shop = suite(
        "shop",
        [("a", Peer::Pod(pod("shop", "a"))), ("b", Peer::Pod(pod("shop", "b")))],
        vec![case("a", "b", Allowed)],
    );
    let named = |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name}});
    shop.setup.manifests = vec![Manifest {
        source: "inline".to_owned(),
        objects: vec![
            named("ClusterRole", "reader"),
            json!({
                "kind": "RoleBinding", "metadata": {"name": "read", "namespace": "shop"},
                "roleRef": {"kind": "ClusterRole", "name": "reader"},
            }),
            json!({
                "kind": "ClusterRoleBinding", "metadata": {"name": "read"},
                "roleRef": {"kind": "ClusterRole", "name": "view"},
            }),
            named("BaselineAdminNetworkPolicy", "default"),
            named("ExternalHost", "internet"),
        ],
    }];
    let plan = build(&[shop], &inputs(2)).unwrap();
    let objects: Vec<_> = plan.suites[0]
        .objects
        .iter()
        .map(|planned| {
            let text = |at: &str| crate::plan::objects::text(&planned.object, at).to_owned();
            (text("/metadata/name"), text("/metadata/namespace"), text("/roleRef/name"))
        })
        .collect();
    let expected = [
        ("reader-aaaaaa", "", ""),
        ("read", "np-aaaaaa-shop", "reader-aaaaaa"),
        ("read-aaaaaa", "", "view"),
        ("default", "", ""),
        ("internet-aaaaaa", "", ""),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(objects, expected);
}

/// Suites of up to eight peers, some of one identity, and of cases among them.
fn any_suite(name: &'static str) -> impl Strategy<Value = Suite> {
    let peer = (0..4usize, 0..3usize, 0..3usize).prop_map(|(app, namespace, node)| {
        let mut peer = pod(["shop", "live", "lab"][namespace], ["a", "b", "C_x", "d"][app]);
        if node == 0 {
            peer.node = Some(labels(&[("zone", "far")]));
        }
        Peer::Pod(peer)
    });
    let claims = prop::collection::vec((0..9usize, 0..9usize, any::<bool>(), 0..2u8), 1..20);
    (prop::collection::vec(peer, 2..9), claims).prop_map(move |(peers, claims)| {
        let mut suite = suite(name, [("svc", service("shop", "svc"))], Vec::new());
        suite
            .setup
            .namespaces
            .insert("Lab of a very long name ".repeat(4), SetupNamespace::default());
        suite.setup.namespaces.insert("lab".to_owned(), SetupNamespace::default());
        let names: Vec<_> = (0..peers.len())
            .map(|number| format!("peer-{}-{number}", "x".repeat(7 * number)))
            .collect();
        suite.peers.extend(names.iter().cloned().zip(peers));
        for (number, (from, to, allow, family)) in claims.into_iter().enumerate() {
            let to = names.get(to).map_or("svc", String::as_str);
            let expect = if allow { Allowed } else { Blocked };
            let mut case = case(&names[from % names.len()], to, expect);
            case.name = format!("case-{number}");
            case.family = (family == 0).then_some(Family::Ipv6);
            suite.cases.push(case);
        }
        suite
    })
}

fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

proptest! {
    #[test]
    fn every_plan_is_sound(
        one in any_suite("one"),
        two in any_suite("two"),
        nodes in 3..5usize,
        pattern in prop::option::of("[0-9]"),
    ) {
        let mut inputs = inputs(nodes);
        inputs.families.push(Family::Ipv6);
        inputs.filter = pattern.map_or(Filter::default(), |text| filter(&[&text]));
        let plan = build(&[one.clone(), two.clone()], &inputs).unwrap();
        let unique = |texts: Vec<&str>| {
            let count = texts.len();
            texts.into_iter().collect::<BTreeSet<_>>().len() == count
        };

        let ids = plan.cases().map(|case| case.id.0.as_str()).collect();
        prop_assert!(unique(ids), "a case id stands twice");
        prop_assert!(unique(plan.pods.iter().map(|pod| pod.name.as_str()).collect()));
        let namespaces = plan.suites.iter().flat_map(|suite| &suite.namespaces);
        let namespaces: Vec<_> = namespaces.map(|namespace| namespace.name.as_str()).collect();
        for name in namespaces.iter().copied().chain(plan.pods.iter().map(|pod| pod.name.as_str())) {
            prop_assert!(is_dns_label(name), "{name}");
        }
        prop_assert!(unique(namespaces));

        let mut claimed = 0;
        for suite in [&one, &two] {
            claimed += suite.cases.iter().map(|case| if case.family.is_some() { 1 } else { 2 }).sum::<usize>();
        }
        prop_assert_eq!(plan.cases().count() + plan.filtered_out, claimed, "no case vanishes");

        let mut seen = BTreeSet::new();
        for suite in &plan.suites {
            for index in &suite.pods {
                prop_assert!(seen.insert(*index), "a pod belongs to two suites");
            }
            for case in &suite.cases {
                let source = plan.pod(case.source);
                prop_assert!(suite.pods.contains(&case.source));
                if let Destination::Pod(index) = case.destination {
                    prop_assert!(suite.pods.contains(&index));
                }
                for &witness in &case.witnesses {
                    prop_assert_eq!(&plan.pod(witness).node, &source.node);
                    prop_assert_ne!(witness, case.source);
                }
                prop_assert_eq!(
                    matches!(case.destination, Destination::Service { .. }),
                    !case.witnesses.is_empty(),
                );
            }
            let peers = suite.pods.iter().map(|&index| plan.pod(index));
            let mut identities = BTreeSet::new();
            for pod in peers.filter(|pod| matches!(pod.role, Role::Peer { .. })) {
                // Only peers that ask for the far zone are placed there.
                let far = !["node-1", "node-2"].contains(&pod.node.as_str());
                let identity = (&pod.namespace, &pod.labels, far);
                prop_assert!(identities.insert(identity), "a second pod of {:?}", identity);
            }
        }
        for pod in &plan.pods {
            prop_assert!(plan.nodes.contains(&pod.node));
        }
        prop_assert_eq!(plan.controls.keys().cloned().collect::<BTreeSet<_>>(), plan.nodes.iter().cloned().collect());
        for (node, controls) in &plan.controls {
            let crate::plan::ControlPods { witness, canary_ingress, canary_egress, marker } = *controls;
            for index in [witness, canary_ingress, canary_egress, marker] {
                prop_assert_eq!(&plan.pod(index).node, node);
                prop_assert!(seen.insert(index), "a control pod has one place");
            }
        }
        prop_assert_eq!(seen.len(), plan.pods.len(), "every pod has an owner");
    }
}

#[test]
fn the_shop_is_planned_whole_and_by_a_single_case() {
    let shop = crate::suite::load(&["suites/shop.yaml".into()]).unwrap();
    let plan = build(&shop, &inputs(2)).unwrap();
    assert_eq!(
        placed(&plan),
        [
            "np-aaaaaa-api-0@node-1",
            "np-aaaaaa-database-0@node-2",
            "np-aaaaaa-frontend-0@node-1",
            "np-aaaaaa-worker-0@node-2",
            "np-aaaaaa-frontend-stand-in-0@node-2",
        ]
    );
    assert_eq!(
        witnesses(&plan, "service-closed"),
        ["np-aaaaaa-frontend-stand-in-0", "np-aaaaaa-witness-node-2-0"],
        "only the frontend may speak to the Service, and it lives elsewhere"
    );
    let alone = Inputs { filter: filter(&["by-name"]), ..inputs(2) };
    let plan = build(&shop, &alone).unwrap();
    assert_eq!(
        placed(&plan),
        ["np-aaaaaa-api-0@node-1", "np-aaaaaa-frontend-0@node-1"],
        "api is behind the name that the case dials"
    );
}
