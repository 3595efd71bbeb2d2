//! Fields, names and values that are wrong in themselves.

use super::*;

#[test]
fn a_suite_with_much_wrong_says_all_of_it_at_once() {
    snapshot!(wrong(&[("a.yaml", "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: Shop, descripton: x}
default: {within: 30s}
defaults: {within: 30, ports: {Main: 8080/tpc, web: 0o17, ssh: 22:22, a: 80/tcp, b: 80/http}}
setup:
  namespaces: {lab: {label: {a: b}}, own: {name: default}, other: {name: kube-system, labels: {a b: c, d: -e, f: 1.0, g: no}}}
  manifests:
    - {}
    - {path: a, inline: {}}
    - {file: a}
    - inline: |
        kind: X
peers:
  all: {ip: 10.0.0.1}
  web: {pod: {namespace: lab, lables: {app: web}, port: {main: 8080/tcp}}}
  two: {pod: {namespace: lab}, ip: 10.0.0.1}
  none: {}
  some: {select: {namespace: lab}}
  svc: {service: {namespace: lab}}
  net: {ip: 10.0.0.0/8}
  name: {ip: example.org}
  self: {ip: 127.0.0.1}
  url: {host: 'https://example.org/'}
  number: {host: 10.0.0.1}
  empty:
steps: []
pass: true
"), ("b.yaml", "\
apiVersion: netproof.dev/v1alpha2
kind: Siute
metadata: {}
cases:
")]));
}

#[test]
fn cases_with_wrong_fields_point_at_each() {
    snapshot!(wrong_rest("\
cases:
  - {name: a, from: web, to: api, port: main, expects: deny}
  - {name: b, from: web, to: api, port: main, expect: no}
  - {name: c, from: web, to: api, port: main, expect: true}
  - {name: d, from: web, to: api, port: main, expect: denied, pass: true, exitcode: 1}
  - {name: e/f, from: [], to: [api, api], port: [], expect: deny, within: 5 parsecs}
  - {name: f, from: web, to: api, port: main, expect: deny, within: 0s, family: v6, evidence: none, denial: dorp}
  - {name: g, from: web, to: api, port: main, expect: allow, evidence: any, denial: drop}
  - name: h
  - just words
  - {name: 1, from: 2, to: {a: b}, port: [[]], expect: [deny], because: 3}
"));
}

#[test]
fn what_is_no_suite_is_told_apart() {
    for (text, words) in [
        ("", "there is no suite in this file"),
        ("# nothing\n---\n---\n", "there is no suite in this file"),
        ("just text", "expected a suite (a mapping), found the text `just text`"),
        ("[a]", "expected a suite (a mapping), found a list"),
        ("{apiVersion: v1, kind: Pod}", "belong into a suite's `setup.manifests`"),
        ("{apiVersion: netproof.dev/v1, kind: Suite}", "did you mean `netproof.dev/v1alpha1`?"),
        ("{cases: []}", "a suite needs `kind: Suite`"),
        (&format!("{PEERS}cases: []\n"), "this suite has no cases"),
        (PEERS, "this suite has no cases"),
        (&format!("{HEAD}peers: {{}}\n"), "this suite has no peers"),
    ] {
        let found = wrong(&[("t.yaml", text)]);
        assert!(found.contains(words), "{text:?} says {words:?}:\n{found}");
    }
}

#[test]
fn defaults_reach_the_cases() {
    let cases = good_cases(
        "cases: [{name: a, from: web, to: db, port: main, expect: deny, within: 2m, family: ipv4, because: why, evidence: any, denial: reject}]",
    );
    let case = &cases[0];
    assert_eq!(case.port.port.to_string(), "8080/tcp", "from `defaults.ports`");
    assert_eq!(case.within, Some(Duration::from_secs(120)));
    assert_eq!(case.family, Some(Family::Ipv4));
    assert_eq!(case.because.as_deref(), Some("why"));
    assert_eq!(case.evidence, EvidenceRule::Any);
    assert_eq!(case.denial.map(|denial| denial.to_string()).as_deref(), Some("reject"));
}
