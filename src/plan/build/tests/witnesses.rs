//! Who bears witness for a case.

use serde_json::json;

use super::*;

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
