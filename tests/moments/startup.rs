//! The first instants of a pod are a claim of their own.

use netproof::verdict::{Reason, Verdict};

use crate::{run, verdict};

/// `closed` takes nobody in, `mute` reaches nobody, `friend` reaches `guarded` alone.
const FIRST: &str = r"
metadata: {name: startup}
defaults: {within: 3s, ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests:
    - inline:
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: closed}
          spec: {podSelector: {matchLabels: {app: closed}}}
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: mute}
          spec: {podSelector: {matchLabels: {app: mute}}, policyTypes: [Egress]}
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: friend}
          spec:
            podSelector: {matchLabels: {app: friend}}
            policyTypes: [Egress]
            egress: [{to: [{podSelector: {matchLabels: {app: open}}}]}]
peers:
  client: {pod: {namespace: lab, labels: {app: client}}}
  mute: {pod: {namespace: lab, labels: {app: mute}}}
  friend: {pod: {namespace: lab, labels: {app: friend}}}
  open: {pod: {namespace: lab, labels: {app: open}}}
  closed: {pod: {namespace: lab, labels: {app: closed}}}
cases:
  - {name: out, from: mute, to: open, port: main, expect: deny, startup: {from: mute}}
  - {name: in, from: client, to: closed, port: main, expect: deny, startup: {to: closed}}
  - {name: friend, from: friend, to: open, port: main, expect: allow, startup: {from: friend}}
  - {name: late, from: client, to: open, port: main, expect: allow, startup: {to: open, expect: deny}}
";

#[test]
fn a_pod_is_isolated_from_its_first_instant() {
    let finished = run(FIRST, &[]);
    for case in ["out", "in"] {
        let (found, reason) = verdict(&finished, &format!("{case}/main/ipv4/startup"));
        assert_eq!(found, Verdict::Pass, "{case} {reason}");
        let Reason::ClosedFromStart { attempts, watched } = reason else {
            panic!("{case} {reason}");
        };
        assert!(attempts >= 10 && watched.as_secs() >= 4, "{case}: {attempts} in {watched:?}");
    }
    let (found, reason) = verdict(&finished, "friend/main/ipv4/startup");
    assert_eq!(found, Verdict::Pass, "{reason}");
    assert!(matches!(reason, Reason::OpenAfter { .. }), "{reason}");
    // The contrary of what holds, or no denial here would mean anything.
    let (found, reason) = verdict(&finished, "late/main/ipv4/startup");
    assert_eq!(found, Verdict::Fail, "{reason}");
}

#[test]
fn policies_that_come_late_for_a_new_pod_are_found_out_with_their_delay() {
    let finished = run(FIRST, &["--fault", "late-isolation=2s"]);
    for case in ["out", "in"] {
        let (rest, reason) = verdict(&finished, &format!("{case}/main/ipv4"));
        assert_eq!(rest, Verdict::Pass, "at rest all is well: {reason}");
        let (found, reason) = verdict(&finished, &format!("{case}/main/ipv4/startup"));
        assert_eq!(found, Verdict::Fail, "{case} {reason}");
        let Reason::OpenAtFirst { from, to } = reason else { panic!("{case} {reason}") };
        assert!(from.as_millis() < 1_500, "{case}: from {from:?}");
        assert!((500..3_500).contains(&to.as_millis()), "{case}: open to {to:?}");
    }
}
