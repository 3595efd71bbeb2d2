//! `predict`, `explain` and `diff`, from manifests: no cluster, no packet.

mod support;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use support::{Finished, run};

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend, namespace: shop}
spec: {replicas: 2, template: {metadata: {labels: {app: front-end}}, spec: {containers: [{name: c, ports: [{containerPort: 8080, name: web}]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, ports: [{containerPort: 5432}, {containerPort: 9090}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: dbs, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5000, targetPort: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}], ports: [{port: 5432}]}]
";

/// Two folders: the shop as it stands, and with the frontend's label mended.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in
            [("broken", SHOP.to_owned()), ("mended", SHOP.replace("front-end", "frontend"))]
        {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            std::fs::write(folder.path().join(name).join("shop.yaml"), text).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn with_input(arguments: &[&str], input: &str) -> Finished {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netproof"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start netproof");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("write");
    support::finish(child)
}

#[test]
fn the_matrix_of_manifests_is_printed_in_four_ways() {
    let text = with_input(&["predict", "--manifests", "-"], SHOP);
    assert_eq!(text.code(), Some(0), "{text:#?}");
    assert!(text.stdout.contains("1 shop/db        - ."), "{}", text.stdout);
    assert!(text.stdout.contains("2 shop/frontend  X ."), "{}", text.stdout);
    let csv = with_input(&["predict", "--manifests", "-", "--output", "csv"], SHOP);
    let line =
        "shop/frontend,shop/db,5432,TCP,denied,isolated for ingress by NetworkPolicy shop/db";
    assert!(csv.stdout.lines().any(|found| found == line), "{}", csv.stdout);
    let json = with_input(&["predict", "--manifests", "-", "--output", "json"], SHOP);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["connections"].as_array().map(Vec::len), Some(6), "ports by destination");
    let dot = with_input(&["predict", "--manifests", "-", "--output", "dot"], SHOP);
    assert!(
        dot.stdout.contains("\"shop/db\" -> \"shop/frontend\" [label=\"8080/TCP\""),
        "{}",
        dot.stdout
    );
}

#[test]
fn an_explanation_names_the_policy_the_miss_and_the_way_out() {
    let folders = Folders::new();
    let (broken, mended) = (folders.path("broken"), folders.path("mended"));
    let ask = |folder: &str, to: &str, port: &str| {
        run(&[
            "explain",
            "--manifests",
            folder,
            "--from",
            "shop/frontend",
            "--to",
            to,
            "--port",
            port,
        ])
    };
    let denied = ask(&broken, "shop/db", "5432");
    assert_eq!(denied.code(), Some(1), "{denied:#?}");
    assert!(
        denied.stdout.contains("app=front-end differs from app=frontend in one place"),
        "{}",
        denied.stdout
    );
    assert_eq!(ask(&mended, "shop/db", "5432").code(), Some(0), "the label is right");
    assert_eq!(ask(&mended, "shop/dbs", "5000").code(), Some(0), "through the Service");
    assert_eq!(ask(&mended, "shop/db", "9090").code(), Some(1), "another port");
    assert_eq!(ask(&mended, "192.0.2.1", "443").code(), Some(0), "out of the cluster");
    let labelled = run(&[
        "explain",
        "--manifests",
        &broken,
        "--from",
        "shop/app=frontend",
        "--to",
        "shop/db",
        "--port",
        "5432",
    ]);
    assert_eq!(labelled.code(), Some(0), "a pod that would have the label: {labelled:#?}");
    let nobody = ask(&mended, "shop/dp", "5432");
    assert_eq!(nobody.code(), Some(2), "{nobody:#?}");
}

#[test]
fn a_difference_says_what_opens_and_may_fail() {
    let folders = Folders::new();
    let (broken, mended) = (folders.path("broken"), folders.path("mended"));
    let opens = run(&["diff", "--before", &broken, "--after", &mended]);
    assert_eq!(opens.code(), Some(0), "{opens:#?}");
    assert!(
        opens.stdout.contains(
            "opens   shop/frontend  to  shop/db  5432/TCP  spec.ingress[0] of NetworkPolicy shop/db"
        ),
        "{}",
        opens.stdout
    );
    assert!(opens.stdout.ends_with("1 open, 0 close, 0 can't be told\n"), "{}", opens.stdout);
    let strict = run(&["diff", "--before", &broken, "--after", &mended, "--deny-new-access"]);
    assert_eq!(strict.code(), Some(1), "{strict:#?}");
    let back = run(&["diff", "--before", &mended, "--after", &broken, "--deny-new-access"]);
    assert_eq!(back.code(), Some(0), "closing is no new access: {back:#?}");
    assert!(back.stdout.contains("closes"), "{}", back.stdout);
}

#[test]
fn what_the_api_server_refuses_is_refused_with_its_path() {
    let text = SHOP.replace("from: [{podSelector: {matchLabels: {app: frontend}}}]", "from: [{}]");
    let refused = with_input(&["predict", "--manifests", "-"], &text);
    assert_eq!(refused.code(), Some(2), "{refused:#?}");
    assert!(
        refused.stderr.contains(
            "NetworkPolicy shop/db: spec.ingress[0].from[0]: Required value: must specify a peer"
        ),
        "{}",
        refused.stderr
    );
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
}

#[test]
fn suites_are_predicted_as_they_claim() {
    for (suite, code) in [
        ("suites/upstream/ingress.yaml", 0),
        ("suites/upstream/egress.yaml", 0),
        ("suites/upstream/changes.yaml", 0),
        ("suites/upstream/udp.yaml", 0),
        // Nothing is known of the cluster's DNS.
        ("suites/shop.yaml", 3),
        ("tests/suites/wrong.yaml", 1),
    ] {
        let finished = run(&["predict", "--offline", suite]);
        assert_eq!(finished.code(), Some(code), "{suite}: {finished:#?}");
    }
}
