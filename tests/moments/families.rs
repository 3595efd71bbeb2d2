//! Every IP family is a case of its own.

use netproof::{
    event::{CanaryState, Event},
    model::Family,
    verdict::{Reason, Verdict},
};

use crate::{run, verdict};

/// Nobody may reach `closed`, and everybody `open`.
const CLOSED: &str = r"
metadata: {name: families}
defaults: {within: 2s, ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: closed}
        spec: {podSelector: {matchLabels: {app: closed}}}
peers:
  client: {pod: {namespace: lab, labels: {app: client}}}
  closed: {pod: {namespace: lab, labels: {app: closed}}}
  open: {pod: {namespace: lab, labels: {app: open}}}
cases:
  - {name: deny, from: client, to: closed, port: main, expect: deny}
  - {name: allow, from: client, to: open, port: main, expect: allow}
";

#[test]
fn a_cluster_of_both_families_is_asked_in_both() {
    let finished = run(CLOSED, &["--ip-family", "dual"]);
    for family in ["ipv4", "ipv6"] {
        assert_eq!(verdict(&finished, &format!("/deny/main/{family}")).1, Reason::Dropped);
        assert_eq!(verdict(&finished, &format!("/allow/main/{family}")).0, Verdict::Pass);
    }
    // A canary for each family, or its denials would stand on the other's proof.
    let proven = |family| {
        let canaries = finished.records().into_iter().filter_map(|record| match record.event {
            Event::Canary { canary } if canary.family == family => Some(canary.state),
            _ => None,
        });
        canaries.filter(|state| matches!(state, CanaryState::Proven { .. })).count()
    };
    assert_eq!((proven(Family::Ipv4), proven(Family::Ipv6)), (4, 4));
    assert_eq!(finished.code(), Some(0));
}

#[test]
fn a_denial_of_ipv4_says_nothing_about_ipv6() {
    let finished = run(CLOSED, &["--fault", "ignore-ipv6", "--canary-within", "1s"]);
    assert_eq!(verdict(&finished, "/deny/main/ipv4"), (Verdict::Pass, Reason::Dropped));
    let (open, reason) = verdict(&finished, "/deny/main/ipv6");
    assert_eq!(open, Verdict::Fail, "{reason}");
    assert!(matches!(reason, Reason::Connected { .. }), "{reason}");
    assert_eq!(finished.code(), Some(1));
}

#[test]
fn a_rule_for_one_family_opens_one_family() {
    let text = CLOSED.replace(
        "spec: {podSelector: {matchLabels: {app: closed}}}",
        "spec: {podSelector: {matchLabels: {app: closed}}, \
         ingress: [{from: [{ipBlock: {cidr: '::/0'}}]}]}",
    );
    // That the policy names IPv6 is enough for the sandbox to have it.
    let finished = run(&text, &[]);
    assert_eq!(verdict(&finished, "/deny/main/ipv4"), (Verdict::Pass, Reason::Dropped));
    assert_eq!(verdict(&finished, "/deny/main/ipv6").0, Verdict::Fail);
}

#[test]
fn a_cluster_of_ipv6_alone_is_asked_in_ipv6_alone() {
    let finished = run(CLOSED, &["--ip-family", "ipv6"]);
    assert_eq!(verdict(&finished, "/deny/main/ipv6"), (Verdict::Pass, Reason::Dropped));
    assert_eq!(verdict(&finished, "/allow/main/ipv6").0, Verdict::Pass);
    assert!(!finished.stdout.contains("/ipv4"), "{}", finished.stdout);
}

#[test]
fn a_family_that_is_not_there_is_not_run_and_changes_nothing() {
    let text = CLOSED.replace("expect: deny}", "expect: deny, family: ipv6}");
    let finished = run(&text, &["--ip-family", "ipv4"]);
    let (absent, reason) = verdict(&finished, "/deny/main/ipv6");
    assert_eq!(absent, Verdict::NotRun, "{reason}");
    assert_eq!(reason.to_string(), "the cluster's pods have no ipv6 address");
    assert_eq!(finished.code(), Some(0));
}

#[test]
fn a_service_of_one_family_is_asked_in_that_one() {
    let text = r"
metadata: {name: families}
defaults: {within: 2s, ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        - {apiVersion: v1, kind: Service, metadata: {name: single},
           spec: {selector: {app: open}, ports: [{port: 8080}]}}
        - {apiVersion: v1, kind: Service, metadata: {name: both},
           spec: {selector: {app: open}, ipFamilyPolicy: PreferDualStack, ports: [{port: 8080}]}}
peers:
  client: {pod: {namespace: lab, labels: {app: client}}}
  open: {pod: {namespace: lab, labels: {app: open}}}
  single: {service: {namespace: lab, name: single}}
  both: {service: {namespace: lab, name: both}}
  named: {host: both}
cases:
  - {name: allow, from: client, to: [single, both, named], port: 8080, expect: allow}
  - {name: six, from: client, to: single, port: 8080, expect: allow, family: ipv6}
";
    let finished = run(text, &["--ip-family", "dual"]);
    for id in [
        "allow-client-single/8080/ipv4",
        "allow-client-single/8080/ipv4/endpoint-open",
        "allow-client-both/8080/ipv4",
        "allow-client-both/8080/ipv6",
        "allow-client-both/8080/ipv6/endpoint-open",
        "allow-client-named/8080/ipv4",
        "allow-client-named/8080/ipv6",
    ] {
        assert_eq!(verdict(&finished, id).0, Verdict::Pass, "{id} {}", verdict(&finished, id).1);
    }
    assert!(!finished.stdout.contains("allow-client-single/8080/ipv6"));
    let (absent, reason) = verdict(&finished, "six/8080/ipv6");
    assert_eq!(absent, Verdict::NotRun, "{reason}");
    assert!(reason.to_string().ends_with("single has no ipv6 address"), "{reason}");
    assert_eq!(finished.code(), Some(0));
}
