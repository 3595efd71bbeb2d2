//! get in all its forms, describe, explain, api-resources.

use std::io::{BufRead, BufReader};

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[
    ("lists_come_as_tables_of_their_kind", tables),
    ("output_comes_in_every_form", forms),
    ("a_watch_goes_on_with_the_table", watch),
    ("nodes_services_and_policies_are_described", describe),
    ("every_kind_is_listed_and_explained", explain),
    ("the_server_says_that_it_is_well", health),
];

fn tables(lab: &Lab, namespace: &str) {
    let nodes = lab.ok(namespace, &["get", "nodes", "-o", "wide"]);
    assert!(nodes.starts_with("NAME"), "{nodes}");
    assert!(nodes.contains("INTERNAL-IP") && nodes.contains("KERNEL-VERSION"), "{nodes}");
    assert_eq!(line(&nodes, "node-1")[1], "Ready");
    let services = lab.ok("default", &["get", "services"]);
    assert_eq!(line(&services, "kubernetes")[1..4], ["ClusterIP", "10.96.0.1", "<none>"]);
    lab.ok(namespace, &["create", "configmap", "one", "--from-literal=a=b", "--from-literal=c=d"]);
    let maps = lab.ok(namespace, &["get", "configmaps"]);
    assert_eq!(line(&maps, "one")[1], "2", "entries are counted");
    let all = lab.ok(namespace, &["get", "pods", "-A"]);
    assert!(all.starts_with("NAMESPACE") && all.contains("kube-system"), "{all}");
    let labelled = lab.ok(namespace, &["get", "namespaces", "--show-labels"]);
    assert!(labelled.contains("kubernetes.io/metadata.name="), "{labelled}");
}

fn forms(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["create", "configmap", "a", "--from-literal=x=1"]);
    lab.ok(namespace, &["create", "configmap", "b", "--from-literal=x=2"]);
    lab.ok(namespace, &["label", "configmap", "b", "tier=back"]);
    for (arguments, expected) in [
        (vec!["get", "cm", "a", "-o", "jsonpath={.data.x}"], "1"),
        (vec!["get", "cm", "-l", "tier=back", "-o", "name"], "configmap/b\n"),
        (vec!["get", "cm", "--field-selector", "metadata.name=a", "-o", "name"], "configmap/a\n"),
        (
            vec![
                "get",
                "cm",
                "a",
                "-o",
                "custom-columns=N:.metadata.name,X:.data.x",
                "--no-headers",
            ],
            "a     1\n",
        ),
    ] {
        let said = lab.ok(namespace, &arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let yaml = lab.ok(namespace, &["get", "cm", "a", "-o", "yaml"]);
    assert!(yaml.contains("kind: ConfigMap") && !yaml.contains("managedFields"), "{yaml}");
    let sorted = lab.ok(namespace, &["get", "cm", "--sort-by=.data.x", "-o", "name"]);
    assert!(sorted.contains("configmap/a\nconfigmap/b"), "{sorted}");
}

fn watch(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["create", "configmap", "seen", "--from-literal=a=b"]);
    let mut watch = lab.start_command(namespace, &["get", "configmaps", "--watch"]);
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    assert!(next().starts_with("NAME"), "the columns come first");
    let mut seen = next();
    while !seen.starts_with("seen") {
        seen = next();
    }
    lab.ok(namespace, &["create", "configmap", "later", "--from-literal=a=b"]);
    assert_eq!(next().split_whitespace().take(2).collect::<Vec<_>>(), ["later", "1"]);
    watch.kill().expect("end the watch");
    watch.wait().expect("wait for the watch");
}

fn describe(lab: &Lab, namespace: &str) {
    let policy = r#"{
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"podSelector": {}}], "ports": [{"port": 80}]}
        ]}
    }"#;
    lab.ok_with(namespace, &["apply", "-f", "-"], policy);
    for (arguments, expected) in [
        (["describe", "node", "node-1"], "Name:               node-1"),
        (["describe", "netpol", "p"], "To Port: 80/TCP"),
        (["describe", "namespace", "kube-system"], "Status:       Active"),
    ] {
        let said = lab.ok(namespace, &arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let said = lab.ok("default", &["describe", "service", "kubernetes"]);
    assert!(said.contains("443/TCP"), "{said}");
}

fn explain(lab: &Lab, namespace: &str) {
    let kinds = lab.ok(namespace, &["api-resources", "--no-headers", "-o", "wide"]);
    assert_eq!(line(&kinds, "deployments")[1..4], ["deploy", "apps/v1", "true"]);
    let said = lab.ok(namespace, &["explain", "deployment.spec.strategy.rollingUpdate"]);
    for expected in
        ["GROUP:      apps", "FIELD: rollingUpdate <RollingUpdateDeployment>", "maxSurge"]
    {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = lab.fails(namespace, &["explain", "pod.spec.nothing"], "");
    assert!(said.contains("field \"nothing\" does not exist"), "{said}");
    lab.ok(namespace, &["api-versions"]);
    lab.ok(namespace, &["version"]);
}

fn health(lab: &Lab, namespace: &str) {
    assert_eq!(lab.ok(namespace, &["get", "--raw", "/readyz"]), "ok");
    let said = lab.ok(namespace, &["get", "--raw", "/livez?verbose"]);
    assert!(said.ends_with("livez check passed\n"), "{said}");
    let said = lab.ok(namespace, &["auth", "can-i", "create", "pods"]);
    assert_eq!(said.trim(), "yes");
    lab.ok(namespace, &["cluster-info"]);
}
