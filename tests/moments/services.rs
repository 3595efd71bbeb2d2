//! A Service is dialled by its address, and each endpoint by its own.

use netproof::verdict::{ControlKind, Observation, Reason, Verdict};

use crate::{run, verdict};

/// A Service whose port isn't its pods', before pods that let only the front in on theirs;
/// `client` may leave by no other.
const TRANSLATED: &str = r"
metadata: {name: services}
defaults: {within: 2s, ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {name: np-services-lab}}
  manifests:
    - inline:
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: api}
          spec:
            podSelector: {matchLabels: {app: api}}
            ingress: [{from: [{podSelector: {matchLabels: {side: front}}}], ports: [{port: 8080}]}]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: client}
          spec:
            podSelector: {matchLabels: {app: client}}
            policyTypes: [Egress]
            egress: [{ports: [{port: 8080}]}]
        - {apiVersion: v1, kind: Service, metadata: {name: api},
           spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}}
        - {apiVersion: v1, kind: Service, metadata: {name: headless},
           spec: {clusterIP: None, selector: {tier: back}, ports: [{port: 80, targetPort: main}]}}
peers:
  client: {pod: {namespace: lab, labels: {app: client, side: front}, node: {kubernetes.io/hostname: node-1}}}
  friend: {pod: {namespace: lab, labels: {app: friend, side: front}, node: {kubernetes.io/hostname: node-1}}}
  stranger: {pod: {namespace: lab, labels: {app: stranger}}}
  api: {pod: {namespace: lab, labels: {app: api, tier: back}, node: {kubernetes.io/hostname: node-2}}}
  open: {pod: {namespace: lab, labels: {app: open, tier: back}}}
  service: {service: {namespace: lab, name: api}}
  headless: {service: {namespace: lab, name: headless}}
cases:
  - {name: allow, from: client, to: [service, headless], port: 80, expect: allow}
  - {name: friend, from: friend, to: service, port: 80, expect: allow}
  - {name: deny, from: stranger, to: service, port: 80, expect: deny}
  - {name: half, from: stranger, to: headless, port: 80, expect: deny}
";

#[test]
fn a_service_and_its_endpoints_are_judged_apart() {
    let finished = run(TRANSLATED, &[]);
    for id in [
        "allow-client-service/80/ipv4",
        "allow-client-service/80/ipv4/endpoint-api",
        "allow-client-headless/80/ipv4",
        "allow-client-headless/80/ipv4/endpoint-api",
        "allow-client-headless/80/ipv4/endpoint-open",
        "deny/80/ipv4",
        "deny/80/ipv4/endpoint-api",
        "half/80/ipv4/endpoint-api",
    ] {
        let (found, reason) = verdict(&finished, id);
        assert_eq!(found, Verdict::Pass, "{id} {reason}");
    }
    // Of a headless Service one open endpoint is enough to be reached.
    for id in ["half/80/ipv4", "half/80/ipv4/endpoint-open"] {
        let (found, reason) = verdict(&finished, id);
        assert_eq!(found, Verdict::Fail, "{id} {reason}");
    }
    assert_eq!(finished.code(), Some(1));
}

#[test]
fn a_policy_on_the_service_s_port_is_told_from_one_on_the_pod_s() {
    let finished = run(TRANSLATED, &["--fault", "service-port"]);
    let blocked = Reason::Blocked { seen: Observation::TimedOut };
    assert_eq!(verdict(&finished, "allow-client-service/80/ipv4"), (Verdict::Fail, blocked));
    let (endpoint, reason) = verdict(&finished, "allow-client-service/80/ipv4/endpoint-api");
    assert_eq!(endpoint, Verdict::Pass, "{reason}");
}

#[test]
fn a_service_that_the_node_does_not_know_denies_nobody() {
    let finished = run(TRANSLATED, &["--fault", "empty-service=np-services-lab/api"]);
    for case in ["deny/80/ipv4", "allow-client-service/80/ipv4"] {
        let (found, reason) = verdict(&finished, case);
        assert_eq!(found, Verdict::Inconclusive, "{case} {reason}");
        let control = match &reason {
            Reason::ControlNotUp { control, .. } => Some(*control),
            _ => None,
        };
        assert_eq!(control, Some(ControlKind::ServicePath), "{case} {reason}");
    }
    assert_eq!(verdict(&finished, "deny/80/ipv4/endpoint-api").1, Reason::Dropped);
}

#[test]
fn an_empty_service_is_no_denial_of_the_pod_that_left_it() {
    let text = TRANSLATED.replace(
        "cases:",
        r"steps:
  - name: relabelled
    label: [{peer: api, remove: [tier], set: {app: other}}]
    cases:
      - {name: through, from: stranger, to: service, port: 80, expect: deny}
      - {name: direct, from: stranger, to: api, port: main, expect: allow}
cases:",
    );
    let finished = run(&text, &[]);
    let (through, reason) = verdict(&finished, "relabelled/through/80/ipv4");
    assert_eq!(through, Verdict::Inconclusive, "{reason}");
    assert!(reason.to_string().ends_with("has no ready endpoints"), "{reason}");
    let (direct, reason) = verdict(&finished, "relabelled/direct/main/ipv4");
    assert_eq!(direct, Verdict::Pass, "{reason}");
    assert!(!finished.stdout.contains("through/80/ipv4/endpoint"), "the pod has left it");
}

#[test]
fn the_dns_service_is_asked_from_steps_too() {
    let text = r"
metadata: {name: steps}
defaults: {within: 2s}
setup: {namespaces: {lab: {}}}
peers:
  client: {pod: {namespace: lab, labels: {app: client}}}
  dns: {service: {namespace: kube-system, name: kube-dns}}
steps:
  - name: closed
    apply:
      - inline:
          apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: closed}
          spec: {podSelector: {}, policyTypes: [Egress]}
    cases: [{name: lookup, from: client, to: dns, port: 53/udp, expect: deny}]
";
    let finished = run(text, &[]);
    assert_eq!(verdict(&finished, "closed/lookup/53-udp/ipv4"), (Verdict::Pass, Reason::Dropped));
}
