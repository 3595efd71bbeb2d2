//! run, exec, logs, describe, wait and delete, of pods.

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[("a_pod_runs_is_looked_into_and_ends", pod)];

fn pod(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["run", "web", "--image=nginx:1.29", "--port=80", "--labels=app=web"]);
    lab.ok(namespace, &["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    let pods = lab.ok(namespace, &["get", "pods", "-o", "wide"]);
    assert_eq!(line(&pods, "web")[1..4], ["1/1", "Running", "0"]);
    let said = lab.ok(namespace, &["describe", "pod", "web"]);
    assert!(said.contains("Image:          nginx:1.29"), "{said}");
    lab.ok(namespace, &["logs", "web"]);
    let said = lab.ok(namespace, &["exec", "web", "--", "netproof-probe", "--version"]);
    assert!(said.contains("netproof-probe"), "{said}");
    lab.ok(namespace, &["expose", "pod", "web", "--port=80"]);
    let said = lab.ok(namespace, &["get", "service", "web", "-o", "jsonpath={.spec.selector.app}"]);
    assert_eq!(said, "web");
    lab.ok(namespace, &["delete", "pod", "web", "--grace-period=1"]);
    lab.ok(namespace, &["wait", "pod/web", "--for=delete", "--timeout=30s"]);
    let said = lab.fails(namespace, &["get", "pod", "web"], "");
    assert!(said.contains("pods \"web\" not found"), "{said}");
}
