//! netproof in a container that has no more rights than usual.

mod support;

use netproof::verdict::Verdict;
use support::{Finished, finish, unshared};

/// Makes `/proc/sys` what a container's runtime makes it, gives up all rights to the network,
/// and goes on as its arguments.
const CONTAINED: &str = "\
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys
exec setpriv --bounding-set=-all,+setfcap --inh-caps=-all --no-new-privs \"$@\"";

/// Ports below 1024, a Service, and both directions of a denial.
const SUITE: &str = "
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: contained}
setup:
  namespaces: {shop: {}}
  manifests:
    - inline:
        - apiVersion: v1
          kind: Service
          metadata: {name: api, namespace: shop}
          spec: {selector: {app: api}, ports: [{port: 443, targetPort: 80}]}
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: api, namespace: shop}
          spec:
            podSelector: {matchLabels: {app: api}}
            policyTypes: [Ingress, Egress]
            ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
peers:
  web: {pod: {namespace: shop, labels: {app: web}, ports: {http: 80/tcp}}}
  api: {pod: {namespace: shop, labels: {app: api}, ports: {http: 80/tcp}}}
  service: {service: {namespace: shop, name: api}}
cases:
  - {name: in, from: web, to: api, port: http, expect: allow}
  - {name: by-service, from: web, to: service, port: 443/tcp, expect: allow}
  - {name: out, from: api, to: web, port: http, expect: deny}
";

/// netproof as a process of such a container; `None` where nobody may make a namespace.
fn contained(words: &[&str]) -> Option<Finished> {
    let mut command = unshared("-Urm", CONTAINED, &[], words)?;
    Some(finish(command.spawn().expect("util-linux is there")))
}

#[test]
fn a_container_that_hides_the_networks_settings_has_a_sandbox_of_ipv4() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = folder.path().join("suite.yaml");
    std::fs::write(&suite, SUITE).expect("written");
    let suite = suite.to_str().expect("a path");
    let run = ["run", "--sandbox", "--ip-family", "dual", "--output", "json", suite];
    let Some(finished) = contained(&run) else { return };
    let reason = "the container hides the network's settings under /proc/sys";
    assert!(finished.stdout.contains(reason), "the run says what it lacks: {finished:#?}");
    for (case, verdict) in [
        ("in/http/ipv4", Verdict::Pass),
        ("by-service/443/ipv4", Verdict::Pass),
        ("out/http/ipv4", Verdict::Pass),
        ("in/http/ipv6", Verdict::NotRun),
    ] {
        assert_eq!(finished.outcome(case).judgement.verdict, verdict, "{case}");
    }
}

#[test]
fn who_needs_ipv6_there_is_told_how_to_have_it() {
    let run = ["run", "--sandbox", "--ip-family", "ipv6", "suites/shop.yaml"];
    let Some(finished) = contained(&run) else { return };
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
    for remedy in ["`--security-opt systempaths=unconfined`", "`--ip-family ipv4`"] {
        assert!(finished.stderr.contains(remedy), "{remedy}: {finished:#?}");
    }
}
