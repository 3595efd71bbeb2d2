//! Who stands behind a Service, step by step, and who bears witness for it.

use super::*;

/// Who stands behind a Service in each step: the endpoints' cases, by step and peer.
fn endpoints(plan: &Plan) -> Vec<(&str, &str, u16)> {
    let of_endpoint = plan.cases().filter(|case| case.name.contains("/endpoint-"));
    of_endpoint.map(|case| (case.step.as_str(), case.to.as_str(), case.port.number)).collect()
}

pub(super) const STEPS: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp, flow: 9090/udp}}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        apiVersion: v1
        kind: Service
        metadata: {name: back}
        spec:
          selector: {app: back}
          ports: [{name: flow, port: 53, protocol: UDP, targetPort: flow}, {name: web, port: 80, targetPort: main}]
peers:
  a: {pod: {namespace: lab, labels: {app: back}}}
  b: {pod: {namespace: lab, labels: {app: back, copy: b}}}
  c: {pod: {namespace: lab, labels: {app: back, copy: c}}}
  late: {pod: {namespace: lab, labels: {app: back, copy: late}}}
  other: {pod: {namespace: lab, labels: {app: other}}}
  svc: {service: {namespace: lab, name: back}}
cases:
  - {name: web, from: a, to: svc, port: 80, expect: allow}
steps:
  - name: relabel
    label: [{peer: b, set: {app: gone}}, {peer: other, set: {app: back}}]
    cases: [{name: web, from: a, to: svc, port: 80, expect: allow}]
  - name: replace
    peers: {create: [late], delete: [c]}
    cases: [{name: web, from: a, to: svc, port: 80, expect: allow}]
  - name: patch
    patch: [{kind: Service, name: back, merge: {spec: {selector: {app: other}}}}]
    cases: [{name: web, from: a, to: svc, port: 80, expect: allow}]
";

#[test]
fn the_endpoints_of_a_service_are_those_of_the_step() {
    assert_eq!(
        endpoints(&planned(STEPS)),
        [
            ("base", "b", 8080),
            ("base", "c", 8080),
            ("relabel", "c", 8080),
            ("relabel", "other", 8080),
            ("replace", "late", 8080),
            ("replace", "other", 8080),
        ],
        "never the source, and none where a patch says who"
    );
}

#[test]
fn a_service_that_a_step_applies_anew_counts_in_that_step() {
    let (before, _) = STEPS.split_once("  - name: replace").expect("a step");
    let text = format!(
        "{before}  - name: anew
    apply:
      - inline:
          apiVersion: v1
          kind: Service
          metadata: {{name: back}}
          spec: {{selector: {{copy: c}}, ports: [{{port: 80, targetPort: 8080}}]}}
    cases: [{{name: web, from: a, to: svc, port: 80, expect: allow}}]
"
    );
    let plan = planned(&text);
    let anew: Vec<_> = endpoints(&plan).into_iter().filter(|(step, ..)| *step == "anew").collect();
    assert_eq!(anew, [("anew", "c", 8080)]);
}

#[test]
fn a_port_of_a_service_leads_on_over_its_own_transport() {
    let rows = [
        ("{port: 80, targetPort: main}", 1, "a name"),
        ("{port: 80, targetPort: 8080}", 1, "a number"),
        ("{port: 80, targetPort: flow}", 0, "a name of another transport"),
        ("{port: 80, targetPort: 9090}", 0, "a number of another transport"),
        (
            "{name: f, port: 80, protocol: UDP, targetPort: flow}, {name: w, port: 80, targetPort: main}",
            1,
            "the same number over both",
        ),
    ];
    for (port, found, what) in rows {
        let text = format!(
            "
metadata: {{name: lab}}
defaults: {{ports: {{main: 8080/tcp, flow: 9090/udp}}}}
setup:
  namespaces: {{lab: {{}}}}
  manifests:
    - inline:
        apiVersion: v1
        kind: Service
        metadata: {{name: back}}
        spec: {{selector: {{app: b}}, ports: [{port}]}}
peers:
  a: {{pod: {{namespace: lab, labels: {{app: a}}}}}}
  b: {{pod: {{namespace: lab, labels: {{app: b}}}}}}
  svc: {{service: {{namespace: lab, name: back}}}}
cases: [{{name: web, from: a, to: svc, port: 80, expect: allow}}]
"
        );
        assert_eq!(endpoints(&planned(&text)).len(), found, "{what}");
    }
}

const WITNESSES: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp, flow: 9090/udp}}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        apiVersion: v1
        kind: Service
        metadata: {name: back}
        spec:
          selector: {app: d}
          ports:
            - {name: web, port: 80, targetPort: main}
            - {name: admin, port: 81, targetPort: main}
            - {name: flow, port: 80, protocol: UDP, targetPort: flow}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
  d: {pod: {namespace: lab, labels: {app: d}}}
  e: {pod: {namespace: lab, labels: {app: e}}}
  svc: {service: {namespace: lab, name: back}}
cases:
  - {name: closed, from: a, to: svc, port: 80, expect: deny}
  - {name: far, from: b, to: svc, port: 80, expect: allow}
  - {name: near, from: c, to: svc, port: 80, expect: allow}
  - {name: other-port, from: e, to: svc, port: 81, expect: allow}
  - {name: other-transport, from: e, to: svc, port: 80/udp, expect: allow}
steps:
  - name: later
    apply: [{inline: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}]
    cases: [{name: later, from: e, to: svc, port: 80, expect: allow}]
";

#[test]
fn a_service_is_witnessed_by_who_is_allowed_the_same_port_in_the_same_step() {
    let plan = planned(WITNESSES);
    // a, c and e are on the first node, b and d on the second.
    assert_eq!(
        witnesses(&plan, "closed"),
        ["np-aaaaaa-c-0", "np-aaaaaa-witness-node-1-0"],
        "neither another node's, nor another port's, nor another step's"
    );
}

#[test]
fn the_witness_that_a_case_needs_is_the_one_on_its_own_node() {
    let alone = Inputs { filter: filter(&["/closed/"]), ..inputs(2) };
    let plan = build(&read(WITNESSES), &alone).expect("a plan");
    assert_eq!(witnesses(&plan, "closed")[0], "np-aaaaaa-c-0");
    assert!(!placed(&plan).iter().any(|pod| pod.contains("-b-0")), "the far one isn't needed");
}
