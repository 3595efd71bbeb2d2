//! What namespaces and objects are called in the cluster.

use serde_json::json;

use super::*;

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
