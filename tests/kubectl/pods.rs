//! run, exec, logs, describe, wait and delete, of pods.

use std::{io::Write, process::Stdio};

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[
    ("a_pod_runs_is_looked_into_and_ends", pod),
    ("a_session_in_a_pod_needs_no_websocket", sessions),
    ("a_stand_in_is_ready_without_its_images_delay", delays),
    ("ports_of_several_containers_are_each_their_own", shared),
];

/// kubectl's own switch: off means plain SPDY.
const WEBSOCKETS: &str = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS";

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

fn sessions(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["run", "web", "--image=nginx:1.29", "--port=80"]);
    lab.ok(namespace, &["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    for websockets in ["true", "false"] {
        let kubectl = |arguments: &[&str], input: &str| {
            let mut command = lab.command(namespace, arguments);
            let command = command.env(WEBSOCKETS, websockets).stdin(Stdio::piped());
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("start kubectl");
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(input.as_bytes()).expect("written");
            drop(stdin);
            let output = child.wait_with_output().expect("wait for kubectl");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let agent = |arguments: &[&'static str]| {
            [&["exec", "-i", "web", "--", "netproof-probe"], arguments].concat()
        };
        let (code, said, _) = kubectl(&agent(&["--version"]), "");
        assert_eq!((code, said.starts_with("netproof-probe ")), (Some(0), true), "{said}");
        // What is typed arrives, and its end, and the code comes back.
        let (code, said, complaint) = kubectl(&agent(&["dial"]), "no request\n");
        assert_eq!(code, Some(2), "{said}{complaint}");
        assert!(said.contains("not understood"), "{said}");
        assert!(complaint.contains("command terminated with exit code 2"), "{complaint}");
        // Two outputs are two streams.
        let (code, said, complaint) = kubectl(&agent(&["--none"]), "");
        assert_eq!((code, said.as_str()), (Some(2), ""), "{complaint}");
        assert!(complaint.contains("unexpected argument '--none'"), "{complaint}");
        let (code, said, complaint) = kubectl(&["exec", "web", "--", "bash"], "");
        assert_eq!((code, said.as_str()), (Some(1), ""), "{complaint}");
        let expected = "exec: \"bash\": executable file not found in $PATH";
        assert!(complaint.contains(expected), "{complaint}");
    }
}

fn delays(lab: &Lab, namespace: &str) {
    let probe = r#"{"initialDelaySeconds": 600, "periodSeconds": 300, "successThreshold": 3"#;
    let pod = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "slow"}}, "spec":
        {{"containers": [{{"name": "a", "image": "a",
            "startupProbe": {{"initialDelaySeconds": 600, "exec": {{"command": ["true"]}}}},
            "readinessProbe": {probe}, "httpGet": {{"port": 80}}}}}}]}}}}"#
    );
    lab.ok_with(namespace, &["apply", "-f", "-"], &pod);
    lab.ok(namespace, &["wait", "pod/slow", "--for=condition=Ready", "--timeout=60s"]);
}

/// A probe of a neighbour's port, and one of the node's own address.
fn shared(lab: &Lab, namespace: &str) {
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "frr"}, "spec":
        {"hostNetwork": true, "containers": [
            {"name": "first", "image": "a", "startupProbe": {"httpGet": {"port": 9141,
                "scheme": "HTTPS"}}, "readinessProbe": {"httpGet": {"port": 17472,
                "host": "127.0.0.1"}}},
            {"name": "second", "image": "a", "ports": [{"containerPort": 9141}]}]}}"#;
    lab.ok_with(namespace, &["apply", "-f", "-"], pod);
    lab.ok(namespace, &["wait", "pod/frr", "--for=condition=Ready", "--timeout=60s"]);
    let restarts = "jsonpath={.status.containerStatuses[*].restartCount}";
    assert_eq!(lab.ok(namespace, &["get", "pod", "frr", "-o", restarts]), "0 0");
}
