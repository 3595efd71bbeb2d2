//! Objects that a suite brings.

use super::*;

const SUITE: &str = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
setup:
  namespaces: {lab: {}}
  manifests:
    - path: manifests/a.yaml
peers:
  web: {pod: {namespace: lab, labels: {app: web}, ports: {main: 8080/http}}}
  db: {pod: {namespace: lab, labels: {app: db}, ports: {main: 5432/tcp}}}
  web-service: {service: {namespace: lab, name: web}}
";

fn wrong_manifest(manifest: &str) -> String {
    let suite = format!("{SUITE}cases: [{{name: a, from: db, to: web, port: main, expect: deny}}]");
    wrong(&[("suites/t.yaml", &suite), ("suites/manifests/a.yaml", manifest)])
}

#[test]
fn a_misspelt_policy_does_not_pass() {
    snapshot!(wrong_manifest("\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, lables: {}}
spec:
  podSelecter: {matchLabels: {app: web}}
  policyTypes: [ingress]
  ingress:
    - form: [{podSelector: {}}]
      ports: [{port: 80, protocol: tcp}, {port: '80'}, {port: 70000}, {port: 90, endPort: 80}, {endPort: 80}]
  egress:
    - to:
        - {}
        - {ipBlock: {cidr: 10.0.0.1/8, except: [10.1.0.0/16]}, podSelector: {}}
        - {ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8, 10.0.0.0/8]}}
        - {ipBlock: {cidr: 10.0.0.1}}
        - namespaceSelector: {matchLabels: {a b: c, on: yes}, matchExpressions: [{key: a, operator: In}, {key: b, operator: Exist}]}
---
apiVersion: networking.k8s.io/v1beta1
kind: NetworkPolicy
metadata: {name: b}
spec: {}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolices
metadata: {name: c}
"));
}

#[test]
fn objects_without_what_every_object_has_are_mistakes() {
    snapshot!(wrong_manifest(
        "\
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {url: 'http://${namespace:lba}/'}}
---
{kind: ConfigMap, metadata: {generateName: a-}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: 1, namespace: A}}
---
- a list
---
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {}}]}
---
{apiVersion: netproof.dev/v1alpha1, kind: Suite, metadata: {name: x}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: twin}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: twin, namespace: lab}}
"
    ));
}

#[test]
fn manifests_that_cannot_be_read_are_mistakes_at_their_path() {
    let case = "cases: [{name: a, from: db, to: web-service, port: 80, expect: deny}]";
    let suite = format!("{SUITE}{case}");
    snapshot!(wrong(&[("t.yaml", &suite)]));
}

#[test]
fn objects_without_a_namespace_need_the_suite_to_have_exactly_one() {
    let suite = |namespaces: &str| {
        format!("\
{HEAD}setup:
  namespaces: {namespaces}
  manifests:
    - inline:
        - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}}}
        - {{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: Secret, metadata: {{name: b}}}}]}}
        - {{apiVersion: v1, kind: Secret, metadata: {{name: c, namespace: elsewhere}}}}
        - {{apiVersion: v1, kind: Secret, metadata: {{name: d, namespace: real}}}}
        - {{apiVersion: example.org/v1, kind: Thing, metadata: {{name: e}}}}
peers: {{a: {{pod: {{namespace: lab}}}}, b: {{ip: 192.0.2.1}}}}
cases: [{{name: a, from: a, to: b, port: 80, expect: deny}}]
")
    };
    let suites = good(&suite("{lab: {name: real}}"));
    let found: Vec<String> = suites[0].setup.manifests[0]
        .objects
        .iter()
        .map(|object| object["metadata"].to_string())
        .collect();
    assert_eq!(
        found,
        [
            r#"{"name":"a","namespace":"lab"}"#,
            r#"{"name":"b","namespace":"lab"}"#,
            r#"{"name":"c","namespace":"elsewhere"}"#,
            r#"{"name":"d","namespace":"lab"}"#,
            r#"{"name":"e"}"#,
        ]
    );
    snapshot!(wrong(&[("two.yaml", &suite("{lab: {}, lob: }")), ("zero.yaml", &suite("{}"))]));
}

fn with_service(service: &str, rest: &str) -> String {
    format!(
        "\
{HEAD}defaults: {{ports: {{main: 8080/http}}}}
setup:
  namespaces: {{lab: {{}}}}
  manifests:
    - inline:
        apiVersion: v1
        kind: Service
        metadata: {{name: web}}
        spec: {service}
peers:
  web: {{pod: {{namespace: lab, labels: {{app: web}}}}}}
  db: {{pod: {{namespace: lab, labels: {{app: db}}, ports: {{main: 5432/tcp}}}}}}
  svc: {{service: {{namespace: lab, name: web}}}}
{rest}"
    )
}

#[test]
fn a_service_s_ports_are_known_by_number_and_name() {
    let service = "{selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: raw, port: 81}]}";
    for (port, label, expected) in
        [("80", "80", "80/http"), ("http", "http", "80/http"), ("raw", "raw", "81/tcp")]
    {
        let case = format!("cases: [{{name: a, from: db, to: svc, port: {port}, expect: deny}}]");
        let suites = good(&with_service(service, &case));
        let found = &suites[0].cases[0].port;
        assert_eq!((found.label.as_str(), found.port.to_string().as_str()), (label, expected));
    }
}

#[test]
fn a_pod_behind_a_service_with_others_may_claim_about_it() {
    let service = "{selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}";
    let case = "cases: [{name: a, from: web, to: svc, port: 80, expect: deny}]";
    for (what, other, alone) in [
        ("none", "", true),
        ("of another namespace", "{pod: {namespace: else, labels: {app: web}}}", true),
        ("with other labels", "{pod: {namespace: lab, labels: {app: bew}}}", true),
        ("of the same labels", "{pod: {namespace: lab, labels: {app: web, b: c}}}", false),
    ] {
        let other = if other.is_empty() { String::new() } else { format!("  other: {other}\n") };
        let text = with_service(service, &format!("{other}{case}"));
        let (_, mistakes) = parse("t.yaml", &text, &nothing_beside);
        let found: Vec<&str> = mistakes.iter().map(|mistake| mistake.message()).collect();
        let expected: &[&str] =
            if alone { &["`web` stands alone behind the Service `web`"] } else { &[] };
        assert_eq!(found, expected, "other pods: {what}");
    }
}

#[test]
fn claims_that_a_service_cannot_bear_are_mistakes() {
    let service = "{selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {port: 53, protocol: UDP}]}";
    snapshot!(wrong(&[(
        "t.yaml",
        &with_service(
            service,
            "  gone: {service: {namespace: lab, name: wbe}}
cases:
  - {name: a, from: db, to: svc, port: 8080, expect: deny}
  - {name: b, from: db, to: svc, port: 53, expect: deny}
  - {name: c, from: db, to: svc, port: htpt, expect: deny}
  - {name: d, from: web, to: svc, port: 80, expect: deny}
"
        )
    )]));
}
