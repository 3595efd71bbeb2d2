//! Names: every address is dialled, and a name that isn't resolved denies nobody.

use netproof::verdict::{Observation, Reason, Verdict};

use crate::{run, verdict};

/// A host of two addresses, of which `half` may reach the second alone; `mute` may not even
/// ask for names.
const HOSTS: &str = r"
metadata: {name: names}
defaults: {within: 2s}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        - apiVersion: sandbox.netproof.dev/v1alpha1
          kind: ExternalHost
          metadata: {name: partner}
          spec:
            addresses: [203.0.113.10, 203.0.113.11]
            names: [partner.example.com]
            ports: [443/tcp]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: half}
          spec:
            podSelector: {matchLabels: {app: half}}
            policyTypes: [Egress]
            egress:
              - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
              - to: [{ipBlock: {cidr: 203.0.113.11/32}}]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: closed}
          spec:
            podSelector: {matchLabels: {app: closed}}
            policyTypes: [Egress]
            egress: [{ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: mute}
          spec: {podSelector: {matchLabels: {app: mute}}, policyTypes: [Egress]}
peers:
  half: {pod: {namespace: lab, labels: {app: half}}}
  closed: {pod: {namespace: lab, labels: {app: closed}}}
  mute: {pod: {namespace: lab, labels: {app: mute}}}
  free: {pod: {namespace: lab, labels: {app: free}}}
  partner: {host: partner.example.com}
cases:
  - {name: half-denied, from: half, to: partner, port: 443, expect: deny}
  - {name: half-allowed, from: half, to: partner, port: 443, expect: allow}
  - {name: closed, from: closed, to: partner, port: 443, expect: deny}
  - {name: mute, from: mute, to: partner, port: 443, expect: deny}
  - {name: free, from: free, to: partner, port: 443, expect: allow}
";

#[test]
fn every_address_of_a_name_is_dialled_and_an_unresolved_one_denies_nobody() {
    let finished = run(HOSTS, &[]);
    // The second address is open: whoever dials the first alone would call this denied.
    let (found, reason) = verdict(&finished, "half-denied/443/ipv4");
    assert_eq!(found, Verdict::Fail, "{reason}");
    assert!(matches!(reason, Reason::Connected { .. }), "{reason}");
    let blocked = Reason::Blocked { seen: Observation::TimedOut };
    assert_eq!(verdict(&finished, "half-allowed/443/ipv4"), (Verdict::Fail, blocked));
    assert_eq!(verdict(&finished, "closed/443/ipv4"), (Verdict::Pass, Reason::Dropped));
    let (found, reason) = verdict(&finished, "mute/443/ipv4");
    assert_eq!(found, Verdict::Inconclusive, "{reason}");
    let unresolved =
        matches!(&reason, Reason::NothingSeen { seen: Observation::NotResolved { .. } });
    assert!(unresolved, "{reason}");
    assert_eq!(verdict(&finished, "free/443/ipv4").0, Verdict::Pass);
}
