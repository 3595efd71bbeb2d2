//! `predict`, `explain` and `diff`, from manifests and from a cluster: no packet is sent.

#[path = "lies/stage.rs"]
#[allow(dead_code, reason = "what runs are staged with, too")]
mod stage;
mod support;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::json;
use stage::Stage;
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
        "shop/frontend,shop/db,5432,TCP,,denied,isolated for ingress by NetworkPolicy shop/db";
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
        // Whether blocks count for pods is up to the CNI; it can be read all the same.
        ("suites/upstream/cidr.yaml", 3),
        // Nothing is known of the cluster's DNS.
        ("suites/shop.yaml", 3),
        ("tests/suites/wrong.yaml", 1),
    ] {
        let finished = run(&["predict", "--offline", suite]);
        assert_eq!(finished.code(), Some(code), "{suite}: {finished:#?}");
    }
}

/// Runs a program in a folder, and expects it to do well.
fn command(folder: &std::path::Path, words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).current_dir(folder).status();
    assert!(status.expect("start it").success(), "{words:?}");
}

/// Runs netproof in a folder.
fn run_in(folder: &std::path::Path, arguments: &[&str]) -> Finished {
    let mut command = support::netproof(arguments);
    support::finish(command.current_dir(folder).spawn().expect("start netproof"))
}

#[test]
fn a_revision_of_git_is_a_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::create_dir(here.join("deploy")).expect("a folder");
    let write = |text: &str| {
        std::fs::write(here.join("deploy/shop.yaml"), text).expect("a file");
    };
    write(SHOP);
    command(here, &["git", "init", "--quiet"]);
    command(here, &["git", "add", "."]);
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    command(here, &[&["git"], &who[..], &["commit", "--quiet", "-m", "broken"]].concat());
    write(&SHOP.replace("front-end", "frontend"));
    for (before, after, word) in
        [("HEAD:deploy", "deploy", "opens "), ("deploy/shop.yaml", "HEAD:deploy/", "closes ")]
    {
        let finished = run_in(here, &["diff", "--before", before, "--after", after]);
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        let line = finished.stdout.lines().next().unwrap_or_default();
        assert!(line.starts_with(word) && line.contains("shop/db"), "{before} {after}: {line}");
    }
    let denied = ["diff", "--before", "HEAD:deploy", "--after", "deploy", "--deny-new-access"];
    assert_eq!(run_in(here, &denied).code(), Some(1));
    // A folder below the repository's root, and what isn't there.
    let below =
        run_in(&here.join("deploy"), &["diff", "--before", "HEAD:.", "--after", "shop.yaml"]);
    assert!(below.stdout.starts_with("opens "), "{below:#?}");
    for side in ["HEAD:nowhere", "no-such-branch:deploy", "--upload-pack=x:deploy"] {
        let before = format!("--before={side}");
        let finished = run_in(here, &["diff", &before, "--after", "deploy"]);
        assert_eq!(finished.code(), Some(2), "{side}: {finished:#?}");
        assert!(finished.stderr.contains(side), "{side}: {}", finished.stderr);
    }
}

#[test]
fn each_family_is_asked_apart() {
    let text = format!(
        "{SHOP}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: out, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: db}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{ipBlock: {{cidr: '::/0'}}}}]}}]
"
    );
    let csv = |families: &[&str]| {
        let arguments = ["predict", "--manifests", "-", "--output", "csv"];
        with_input(&[&arguments[..], families].concat(), &text).stdout
    };
    let both = csv(&["--family", "ipv4", "--family", "ipv6"]);
    for line in [
        "shop/db,shop/frontend,8080,TCP,ipv4,denied,isolated for egress by NetworkPolicy shop/out",
        "shop/db,shop/frontend,8080,TCP,ipv6,undetermined,",
    ] {
        assert!(both.lines().any(|found| found.starts_with(line)), "{line} in {both}");
    }
    assert!(!csv(&["--family", "ipv4"]).contains("ipv6"), "one family alone");
    let explain = |to: &str, family: &str| {
        let arguments = ["explain", "--manifests", "-", "--from", "shop/db", "--to", to];
        with_input(&[&arguments[..], &["--port", "443", "--family", family]].concat(), &text)
    };
    assert_eq!(explain("www.example.org", "ipv4").code(), Some(1), "no rule holds IPv4");
    assert_eq!(explain("www.example.org", "ipv6").code(), Some(0), "a rule holds all of IPv6");
    let wrong = explain("192.0.2.1", "ipv6");
    assert_eq!(wrong.code(), Some(2), "{wrong:#?}");
    assert!(wrong.stderr.contains("the address is of ipv4"), "{}", wrong.stderr);
    let nonsense = explain("192.0.2.1", "ipv5");
    assert!(nonsense.stderr.contains("ipv4 and ipv6 are the families"), "{}", nonsense.stderr);
}

#[test]
fn a_name_that_nobody_has_asked_for_is_undetermined_where_a_rule_goes_by_addresses() {
    let suite = "
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: names}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: out, namespace: lab}
          spec:
            podSelector: {matchLabels: {app: a}}
            policyTypes: [Egress]
            egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  free: {pod: {namespace: lab, labels: {app: free}}}
  web: {host: www.example.org}
  inside: {host: db.elsewhere.svc}
cases:
  - {name: block, from: a, to: web, port: 443, expect: allow}
  - {name: open, from: free, to: web, port: 443, expect: allow}
  - {name: inside, from: free, to: inside, port: 443, expect: allow}
";
    let finished = with_input(&["predict", "--offline", "-"], suite);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
    for (case, mark, part) in [
        ("names/base/block", "?", "the host's addresses aren't known"),
        ("names/base/open", "ok", "no policy stands in the way"),
        ("names/base/inside", "?", "nothing is known of the name db.elsewhere.svc"),
    ] {
        let line = finished.stdout.lines().find(|line| line.contains(case)).unwrap_or_default();
        assert!(line.starts_with(mark) && line.contains(part), "{case}: {line}");
    }
}

#[test]
fn what_depends_on_the_addresses_of_pods_is_told_as_such() {
    let suite = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: blocks}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: block}
        spec:
          podSelector: {matchLabels: {app: a}}
          policyTypes: [Egress]
          egress: [{to: [{ipBlock: {cidr: '${cidr:b/24}'}}]}]
defaults: {ports: {main: 8080/tcp}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
cases:
  - {name: block, from: a, to: b, port: main, expect: allow}
  - {name: beside, from: a, to: c, port: main, expect: deny}
steps:
  - name: narrow
    patch:
      - kind: NetworkPolicy
        name: block
        merge: {spec: {egress: [{to: [{ipBlock: {cidr: '${ipv4:b}/32'}}]}]}}
    cases:
      - {name: block, from: a, to: b, port: main, expect: allow}
      - {name: beside, from: a, to: c, port: main, expect: deny}
";
    let finished = with_input(&["predict", "--offline", "-", "--family", "ipv4"], suite);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
    for (case, mark, part) in [
        ("blocks/base/block", "?", "is up to the CNI"),
        ("blocks/base/beside", "?", "it depends on which addresses the pods get"),
        ("blocks/narrow/block", "?", "is up to the CNI"),
        ("blocks/narrow/beside", "ok", "isolated"),
    ] {
        let line = finished.stdout.lines().find(|line| line.contains(case)).unwrap_or_default();
        assert!(line.starts_with(mark) && line.contains(part), "{case}: {line}");
    }
}

#[test]
fn a_port_is_called_as_the_destination_calls_it() {
    let manifests = "tests/manifests/init/operators.yaml";
    let ask = |to: &str, port: &str| {
        let ends = ["--from", "bank/app=teller", "--to", to];
        run(&[&["explain", "--manifests", manifests], &ends[..], &["--port", port]].concat())
    };
    let by_number = ask("bank/ledger", "7001");
    let by_name = ask("bank/ledger", "api");
    assert_eq!(by_name.stdout, by_number.stdout);
    assert_eq!(by_name.code(), by_number.code());
    for (to, port, expected) in [
        ("bank/ledger", "apis", "it has: api, metrics"),
        ("10.0.0.1", "http", "it names none"),
        ("bank/ledger", "http/tcp", "no port number"),
        ("bank/ledger", "0", "no port number"),
    ] {
        let refused = ask(to, port);
        assert_eq!(refused.code(), Some(2), "{to} {port}: {refused:#?}");
        assert!(refused.stderr.contains(expected), "{to} {port}: {}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_read_as_far_as_it_may_be() {
    let stage = Stage::new(&[]).await;
    stage.namespace("shop").await;
    for (name, app) in [("web", "web"), ("db", "db")] {
        let pod = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
            "spec": {"containers": [
                {"name": "c", "image": "example.org/c", "ports": [{"containerPort": 5432}]},
            ]},
        });
        stage.create("v1", "Pod", pod).await;
    }
    stage.deny_all("shop").await;
    let finished = |kubeconfig: &std::path::Path, arguments: &[&str]| {
        let mut command = support::netproof(arguments);
        let child = command.env("KUBECONFIG", kubeconfig).spawn().expect("start netproof");
        support::finish(child)
    };
    let ask = |kubeconfig: &std::path::Path, to: &str| {
        let arguments = ["explain", "--from", "shop/web", "--to", to, "--port", "5432"];
        finished(kubeconfig, &arguments)
    };
    let denied = ask(stage.kubeconfig(), "shop/db");
    assert_eq!(denied.code(), Some(1), "{denied:#?}");
    assert_eq!(ask(stage.kubeconfig(), "192.0.2.1").code(), Some(1), "no node, no Service has it");

    // Against manifests in which nothing is denied.
    let mut open = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    open.write_all(
        b"{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {containers: []}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop}, spec: {containers: []}}
",
    )
    .expect("write it");
    let path = open.path().display().to_string();
    let arguments = ["diff", "--before", "cluster", "--after", &path, "--port", "5432"];
    let opens = finished(stage.kubeconfig(), &arguments);
    assert_eq!(opens.code(), Some(0), "{opens:#?}");
    let line = "opens   shop/web";
    assert!(opens.stdout.lines().any(|found| found.starts_with(line)), "{}", opens.stdout);

    // Somebody who may read neither nodes nor Services.
    stage
        .robot(json!([
            {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list"]},
            {
                "apiGroups": ["networking.k8s.io", "policy.networking.k8s.io"],
                "resources": ["*"], "verbs": ["list"],
            },
        ]))
        .await;
    let robot = stage.robot_kubeconfig();
    let pods = ask(robot.path(), "shop/db");
    assert_eq!(pods.code(), Some(1), "between pods all is known: {pods:#?}");
    for kind in ["Node", "Service", "EndpointSlice"] {
        let note = format!("may not read {kind} (");
        assert!(pods.stderr.contains(&note), "{kind}: {}", pods.stderr);
    }
    let address = ask(robot.path(), "192.0.2.1");
    assert_eq!(address.code(), Some(3), "{address:#?}");
    for part in ["may be one of the nodes", "may be one of the Services"] {
        assert!(address.stdout.contains(part), "{part}: {}", address.stdout);
    }

    // Another kind of policy, which is named, and decides who knows what.
    stage.define("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies").await;
    let policy = json!({"metadata": {"name": "layer-7", "namespace": "shop"}, "spec": {}});
    stage.create("cilium.io/v2", "CiliumNetworkPolicy", policy).await;
    let other = ask(stage.kubeconfig(), "shop/db");
    assert_eq!(other.code(), Some(3), "{other:#?}");
    assert!(other.stderr.contains("CiliumNetworkPolicy shop/layer-7"), "{}", other.stderr);
    let unreadable = ask(robot.path(), "shop/db");
    assert_eq!(unreadable.code(), Some(3), "{unreadable:#?}");
    assert!(unreadable.stderr.contains("may not read CiliumNetworkPolicy ("), "{unreadable:#?}");
    stage.end().await;
}
