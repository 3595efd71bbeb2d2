//! Other people's manifests in a sandbox: `netproof run --sandbox --manifests`.

mod support;

use std::{fs, io::Write as _, process::Stdio};

use netproof::event::Event;
use support::{finish, netproof, run};

const CHART: &str = "tests/manifests/shop-chart.yaml";
const SUITE: &str = "tests/suites/chart.yaml";

#[test]
fn a_rendered_chart_comes_up_wholly_and_a_suite_asks_about_it() {
    let finished = run(&["run", "--sandbox", "--manifests", CHART, "--output", "json", SUITE]);
    assert_eq!(finished.code(), Some(0), "{:?} {}", finished.not_passed(), finished.stderr);
    let warnings: Vec<String> = finished
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Warning { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    for expected in [
        "the namespace chart was missing and was created",
        "Pod chart/shop-test-connection is a hook (test) and is left out",
        "5 pods are stand-ins",
    ] {
        assert!(warnings.iter().any(|text| text.contains(expected)), "{expected}: {warnings:#?}");
    }
}

#[test]
fn what_programs_would_make_for_themselves_holds_nobody_up() {
    let operators = "tests/manifests/operators.yaml";
    let pair = "tests/suites/pair.yaml";
    let finished = run(&["run", "--sandbox", "--manifests", operators, "--output", "json", pair]);
    assert_eq!(finished.code(), Some(0), "{:?} {}", finished.not_passed(), finished.stderr);
    let stand_ins = finished.records().into_iter().any(|record| match record.event {
        Event::Warning { message, .. } => message.contains("pods are stand-ins"),
        _ => false,
    });
    assert!(stand_ins, "all of it ran: {finished:#?}");
    // Nobody may make the Secret without the hook's role, and so it is missed.
    let text = fs::read_to_string(operators).expect("the manifests");
    let without: Vec<_> =
        text.split("\n---\n").filter(|one| !one.contains("kind: RoleBinding")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    fs::write(&path, without.join("\n---\n")).expect("written");
    let file = path.to_str().expect("UTF-8");
    let finished = run(&["run", "--sandbox", "--launch-within", "5s", "--manifests", file, pair]);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
    assert!(finished.stderr.contains("ContainerCreating (FailedMount: "), "{}", finished.stderr);
}

#[test]
fn manifests_come_by_standard_input_and_the_report_says_what_is_not_real() {
    let mut command = netproof(&["run", "--sandbox", "--manifests", "-", "tests/suites/pair.yaml"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("start netproof");
    let manifest = "\
{apiVersion: example.com/v1, kind: Gadget, metadata: {name: g}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition,
 metadata: {name: widgets.example.com}, spec: {group: example.com, scope: Namespaced,
 names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList},
 versions: [{name: v1, served: true, storage: true,
             schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: nginx}]}}";
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(manifest.as_bytes()).expect("written");
    drop(stdin);
    let finished = finish(child);
    assert_eq!(finished.code(), Some(0), "{finished:#?}");
    let left_out = "Gadget g is left out: there is no such kind in example.com/v1";
    let said = "1 pod is a stand-in (default/a): the sandbox runs no images";
    let unwrapped: String = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(said), "{}", finished.stdout);
    assert!(unwrapped.contains(left_out), "{}", finished.stdout);
    assert!(!unwrapped.contains("Widget"), "its kind is defined: {}", finished.stdout);
}

#[test]
fn what_can_not_be_brought_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    let file = path.to_str().expect("UTF-8");
    let pod =
        |spec: &str| format!("{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {spec}}}");
    for (case, text, code, expected) in [
        ("no object", "- a".to_owned(), 2, "a.yaml, document 1: this is no object of Kubernetes"),
        ("nothing", "---".to_owned(), 2, "there is no object in the manifests"),
        ("refused", pod("{containers: []}"), 2, "create Pod a"),
        (
            "never ready",
            pod("{nodeName: node-1, containers: [{name: c, image: x, env: [{name: A, \
                 valueFrom: {configMapKeyRef: {name: none, key: k}}}]}]}"),
            3,
            "Pod default/a: c: CreateContainerConfigError",
        ),
    ] {
        fs::write(&path, text).expect("written");
        let finished = run(&[
            "run",
            "--sandbox",
            "--launch-within",
            "3s",
            "--manifests",
            file,
            "tests/suites/pair.yaml",
        ]);
        assert_eq!(finished.code(), Some(code), "{case}: {}", finished.stderr);
        assert!(finished.stderr.contains(expected), "{case}: {}", finished.stderr);
    }
    let finished = run(&["run", "--sandbox", "--manifests", "-", "-"]);
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
}
