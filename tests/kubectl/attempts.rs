//! What people type in pods to try a connection, where no image's programs are.

use crate::{Claim, lab::Lab};

pub const CLAIMS: &[Claim] = &[
    ("a_connection_is_tried_from_inside_a_pod", attempts),
    ("a_pod_that_only_tries_a_connection_does_so", runs),
];

const CLOSED: &str = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
    "metadata": {"name": "closed"}, "spec": {"podSelector": {"matchLabels": {"run": "db"}},
    "policyTypes": ["Ingress"]}}"#;

/// A client, an open server and a closed one, each behind a Service.
fn start(lab: &Lab, namespace: &str) {
    for name in ["client", "web", "db"] {
        lab.ok(namespace, &["run", name, "--image=nginx:1.29", "--port=80"]);
    }
    for name in ["web", "db"] {
        lab.ok(namespace, &["expose", "pod", name, "--port=8080", "--target-port=80"]);
    }
    lab.ok_with(namespace, &["apply", "-f", "-"], CLOSED);
    lab.ok(namespace, &["wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s"]);
}

fn attempts(lab: &Lab, namespace: &str) {
    start(lab, namespace);
    let stands_in = format!("netproof stands in for {namespace}/web");
    let search = format!("search {namespace}.svc.cluster.local");
    for (words, code, expected) in [
        ("curl -sS http://web:8080", 0, &*stands_in),
        ("curl -so /dev/null -w %{http_code} web:8080", 0, "200"),
        ("curl -sS -m 2 http://db:8080", 28, "curl: (28) Connection timed out after 2"),
        ("curl -sS http://localhost:81", 7, "curl: (7) Failed to connect to localhost port 81"),
        ("curl -sS -m 9 http://none", 6, "curl: (6) Could not resolve host: none"),
        ("curl --dance http://web", 2, "the curl of a stand-in doesn't know it"),
        ("wget -qO- http://web:8080", 0, &stands_in),
        ("wget -qO- -T 2 http://db:8080", 1, "wget: download timed out"),
        ("nc -zv web 8080", 0, "8080 port [tcp/*] succeeded!"),
        ("nc -zv -w 2 db 8080", 1, "timed out: Operation now in progress"),
        ("nc -zv localhost 81", 1, "port 81 (tcp) failed: Connection refused"),
        ("nslookup web", 0, "Name:\tweb\nAddress: "),
        ("nslookup none", 1, "** server can't find none: NXDOMAIN"),
        ("hostname", 0, "client\n"),
        ("cat /etc/resolv.conf", 0, &search),
        ("cat /etc/shadow", 1, "cat: can't open '/etc/shadow': No such file or directory"),
        ("printenv WEB_SERVICE_PORT KUBERNETES_SERVICE_PORT", 0, "443\n"),
        ("tar cf - .", 1, "exec: \"tar\": executable file not found in $PATH"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let output = lab.run(namespace, &[&["exec", "client", "--"], &*words].concat(), "");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // A variable of a Service that came later isn't there.
        let code = if words[0] == "printenv" { 1 } else { code };
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let through = lab.ok(namespace, &["exec", "client", "--", "sh", "-c", "wget -qO- web:8080"]);
    assert!(through.contains(&stands_in), "{through}");
    let shell = ["exec", "client", "--", "sh", "-c", "nc -z web 8080 && echo open"];
    let complaint = lab.fails(namespace, &shell, "");
    assert!(complaint.contains("without quotes, variables or operators"), "{complaint}");
    // What is typed reaches the other side, and its answer comes back.
    let typed = ["exec", "-i", "client", "--", "nc", "web", "8080"];
    let said = lab.ok_with(namespace, &typed, "GET / HTTP/1.0\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.contains(&stands_in), "{said}");
}

fn runs(lab: &Lab, namespace: &str) {
    start(lab, namespace);
    for (name, server, phase) in [("reaches", "web", "Succeeded"), ("fails", "db", "Failed")] {
        let url = format!("{server}:8080");
        let words = ["wget", "-qO-", "--timeout=2", &url];
        let run = ["run", name, "--image=busybox", "--restart=Never", "--command", "--"];
        lab.ok(namespace, &[&run[..], &words].concat());
        let phase = format!("--for=jsonpath={{.status.phase}}={phase}");
        lab.ok(namespace, &["wait", &format!("pod/{name}"), &phase, "--timeout=60s"]);
    }
    // Who attaches after the end hears it, too.
    let run = ["run", "once", "--rm", "-i", "--quiet", "--image=busybox", "--restart=Never", "--"];
    let said = lab.ok(namespace, &[&run[..], &["wget", "-qO-", "web:8080"]].concat());
    assert!(said.contains(&format!("netproof stands in for {namespace}/web")), "{said}");
    let said = lab.ok(namespace, &["logs", "reaches"]);
    assert_eq!(said.trim_end(), format!("netproof stands in for {namespace}/web"));
    assert_eq!(lab.ok(namespace, &["logs", "fails"]).trim_end(), "wget: download timed out");
}
