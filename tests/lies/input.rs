//! Lies that begin with what somebody wrote: they never get as far as a packet.

use std::{fs, process::Stdio};

use netproof::verdict::{ControlKind, Reason, Verdict};

use crate::{
    sandboxed,
    support::{Finished, finish, netproof, run, tell},
};

const HEAD: &str = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
defaults: {within: 1s}
setup: {namespaces: {lab: {}}}
";

/// Runs a suite in a sandbox that is given without its head.
fn ask(body: &str) -> Finished {
    let mut child = netproof(&["run", "--sandbox", "--output", "json", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start netproof");
    let text = format!("{HEAD}{body}");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), text.as_bytes())
        .expect("written");
    let finished = finish(child);
    tell(&["run", "--sandbox", "--output", "json", "-"], &finished);
    finished
}

fn refused(body: &str, expected: &str) {
    let finished = ask(body);
    assert_eq!(finished.code(), Some(2), "{body}: {finished:#?}");
    assert!(finished.stderr.contains(expected), "{body}: {}", finished.stderr);
    assert!(finished.stdout.is_empty(), "nothing was touched: {}", finished.stdout);
}

/// L2.
#[test]
fn a_port_where_nobody_listens_denies_nothing() {
    let peers = "peers:
  a: {pod: {namespace: lab, labels: {app: a}, ports: {}}}
  b: {pod: {namespace: lab, labels: {app: b}, ports: {main: 8080/tcp}}}
  gone: {service: {namespace: lab, name: gone}}
  far: {ip: 198.51.100.9}
";
    refused(
        &format!("{peers}cases: [{{name: c, from: a, to: b, port: 8081, expect: deny}}]\n"),
        "8081",
    );
    // Where netproof can't know beforehand: a Service to a port that no pod has, and a host
    // that listens on another port.
    let world = "
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        - {apiVersion: v1, kind: Service, metadata: {name: gone, namespace: lab}, spec: {selector: {app: b}, ports: [{port: 80, targetPort: 9}]}}
        - {apiVersion: sandbox.netproof.dev/v1alpha1, kind: ExternalHost, metadata: {name: far}, spec: {addresses: [198.51.100.9], ports: [443/tcp]}}
";
    let head = HEAD.replace("setup: {namespaces: {lab: {}}}\n", world.trim_start());
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let cases = "cases:
  - {name: service, from: a, to: gone, port: 80/tcp, expect: deny}
  - {name: host, from: a, to: far, port: 80/tcp, expect: deny}
";
    fs::write(file.path(), format!("{head}{peers}{cases}")).expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let finished = sandboxed(&[path]);
    for (case, control) in
        [("/service/", ControlKind::ServicePath), ("/host/", ControlKind::ReachedBy)]
    {
        let judgement = finished.outcome(case).judgement;
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{case} {}", judgement.reason);
        let named = matches!(&judgement.reason,
            Reason::ControlNotUp { control: found, .. } if *found == control);
        assert!(named, "{case} {}", judgement.reason);
    }
    assert_eq!(finished.code(), Some(3));
}

/// L11: the reset of a port where nobody listens is no answer.
#[test]
fn a_refusal_is_no_proof_that_somebody_is_there() {
    let finished = ask("
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  node: {ip: 10.96.0.1}
cases: [{name: c, from: a, to: node, port: 81/tcp, expect: allow}]
");
    let judgement = finished.outcome("/c/").judgement;
    assert_ne!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
}

/// L7.
#[test]
fn a_port_that_a_service_does_not_expose_is_bad_input_or_no_answer() {
    let peers = "peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  dns: {service: {namespace: kube-system, name: kube-dns}}
";
    let body =
        format!("{peers}cases: [{{name: c, from: a, to: dns, port: 54/udp, expect: deny}}]\n");
    let judgement = ask(&body).outcome("/c/").judgement;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(judgement.reason.to_string().contains("has no port 54"), "{}", judgement.reason);
    let own = "
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}, ports: {main: 8080/tcp}}}
  s: {service: {namespace: lab, name: s}}
cases: [{name: c, from: a, to: s, port: 81/tcp, expect: deny}]
";
    let service = "
setup:
  namespaces: {lab: {}}
  manifests: [{inline: {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {app: b}, ports: [{port: 80, targetPort: 8080}]}}}]
";
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let head = HEAD.replace("setup: {namespaces: {lab: {}}}\n", service.trim_start());
    fs::write(file.path(), format!("{head}{}", own.trim_start())).expect("written");
    let finished = run(&["check", file.path().to_str().expect("UTF-8")]);
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
}

/// L22, L23.
#[test]
fn a_pod_and_itself_is_no_claim() {
    let peers = "peers:
  a: {pod: {namespace: lab, labels: {app: a}, ports: {main: 8080/tcp}}}
  twin: {pod: {namespace: lab, labels: {app: a}, ports: {main: 8080/tcp}}}
";
    for to in ["a", "twin"] {
        let case = format!("cases: [{{name: c, from: a, to: {to}, port: main, expect: deny}}]\n");
        refused(&format!("{peers}{case}"), "a pod can always reach itself");
    }
    let service = "
setup:
  namespaces: {lab: {}}
  manifests: [{inline: {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}}}]
";
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let head = HEAD.replace("setup: {namespaces: {lab: {}}}\n", service.trim_start());
    let case = "  s: {service: {namespace: lab, name: s}}
cases: [{name: c, from: a, to: s, port: 80, expect: deny}]
";
    fs::write(file.path(), format!("{head}{peers}{case}")).expect("written");
    let finished = run(&["check", file.path().to_str().expect("UTF-8")]);
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
    assert!(finished.stderr.contains("implementation-defined"), "{}", finished.stderr);
}

/// L27, L28.
#[test]
fn a_field_that_is_not_there_never_falls_back_to_a_default() {
    let peers = "peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}, ports: {main: 8080/tcp}}}
";
    for (case, expected) in [
        ("{name: c, from: a, to: b, port: main, expects: deny}", "did you mean `expect`?"),
        ("{name: c, from: a, to: b, port: main, expect: deny, exitcode: 0}", "no field `exitcode`"),
        ("{name: c, from: a, to: b, port: main, expect: deny, pass: true}", "no field `pass`"),
        ("{name: c, from: a, to: b, port: main, expect: denny}", "did you mean `deny`?"),
    ] {
        refused(&format!("{peers}cases: [{case}]\n"), expected);
    }
}

/// L25.
#[test]
fn a_filter_that_fits_nothing_is_not_green() {
    let finished = run(&["run", "--sandbox", "--filter", "no-such-case", "tests/suites/pair.yaml"]);
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
    assert!(finished.stderr.contains("no case matches the filter"), "{}", finished.stderr);
}
