//! A connection that stands when the policy comes is judged apart from a fresh one.

use netproof::verdict::{Observation, Reason, Verdict};

use crate::{run, verdict};

/// `server` is closed by a step; `other` by a policy that a step takes away again.
const CLOSING: &str = r"
metadata: {name: established}
defaults: {within: 3s, ports: {tcp: 8080/tcp, udp: 5353/udp, http: 8081/http}}
setup: {namespaces: {lab: {}}}
peers:
  client: {pod: {namespace: lab, labels: {app: client}}}
  server: {pod: {namespace: lab, labels: {app: server}}}
steps:
  - name: closed
    apply:
      - inline:
          apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: server}
          spec: {podSelector: {matchLabels: {app: server}}}
    cases:
      - {name: stays, from: client, to: server, port: [tcp, http], expect: deny, established: survives}
      - {name: flow, from: client, to: server, port: udp, expect: deny, established: survives}
      - {name: told, from: client, to: server, port: tcp, expect: deny, established: report}
      - {name: cut, from: client, to: server, port: tcp, expect: deny, established: cut}
  - name: still-closed
    label: [{peer: client, set: {seen: again}}]
    cases:
      - {name: late, from: client, to: server, port: tcp, expect: deny, established: survives}
";

#[test]
fn a_connection_survives_the_policy_that_stops_fresh_ones() {
    let finished = run(CLOSING, &[]);
    for fresh in ["stays/tcp/ipv4", "stays/http/ipv4", "flow/udp/ipv4", "told/tcp/ipv4"] {
        assert_eq!(verdict(&finished, fresh).1, Reason::Dropped, "{fresh}");
    }
    for stands in ["stays/tcp", "stays/http", "flow/udp", "told/tcp"] {
        let (found, reason) = verdict(&finished, &format!("{stands}/ipv4/established"));
        assert_eq!(found, Verdict::Pass, "{stands} {reason}");
        assert!(matches!(reason, Reason::Survived { .. }), "{stands} {reason}");
    }
    let (found, reason) = verdict(&finished, "cut/tcp/ipv4/established");
    assert_eq!(found, Verdict::Fail, "{reason}");
    // Where nothing could be opened before the change, nothing is known of what stands.
    let (found, reason) = verdict(&finished, "late/tcp/ipv4/established");
    assert_eq!(found, Verdict::Inconclusive, "{reason}");
    assert!(reason.to_string().starts_with("no connection could be opened"), "{reason}");
}

#[test]
fn a_cni_that_judges_every_packet_cuts_what_stands() {
    let finished = run(CLOSING, &["--fault", "cut-established"]);
    let cut = Reason::Cut { seen: Observation::TimedOut };
    for (case, expected) in [
        ("cut/tcp", Verdict::Pass),
        ("told/tcp", Verdict::Pass),
        ("stays/tcp", Verdict::Fail),
        ("stays/http", Verdict::Fail),
        ("flow/udp", Verdict::Fail),
    ] {
        let found = verdict(&finished, &format!("{case}/ipv4/established"));
        assert_eq!(found, (expected, cut.clone()), "{case}");
    }
    assert_eq!(verdict(&finished, "stays/tcp/ipv4").1, Reason::Dropped, "fresh ones as ever");
}

#[test]
fn a_flow_that_was_open_before_carries_no_fresh_datagram() {
    // The old flow's entry in connection tracking still stands and would let its own ports
    // through: a fresh question never uses them again.
    let text = CLOSING.replace(
        "steps:",
        r"cases:
  - {name: open, from: client, to: server, port: udp, expect: allow}
steps:",
    );
    let finished = run(&text, &["--filter", "udp"]);
    assert_eq!(verdict(&finished, "base/open/udp/ipv4").0, Verdict::Pass);
    assert_eq!(verdict(&finished, "closed/flow/udp/ipv4"), (Verdict::Pass, Reason::Dropped));
    let (old, reason) = verdict(&finished, "closed/flow/udp/ipv4/established");
    assert_eq!(old, Verdict::Pass, "the entry is there: {reason}");
}
