//! How traffic is kept out, and how long a dial waits for an answer.

use netproof::{
    event::Event,
    suite::Denial,
    verdict::{Observation, Reason, Verdict},
};

use crate::{run, verdict};

const DENIED: &str = r"
metadata: {name: denial}
defaults: {within: 2s, ports: {main: 8080/tcp, flow: 5353/udp}}
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
cases:
  - {name: dropped, from: client, to: closed, port: [main, flow], expect: deny, denial: drop}
  - {name: rejected, from: client, to: closed, port: [main, flow], expect: deny, denial: reject}
";

#[test]
fn silence_over_a_second_is_a_drop_and_no_reject() {
    let finished = run(DENIED, &[]);
    for port in ["main", "flow"] {
        assert_eq!(verdict(&finished, &format!("dropped/{port}/ipv4")).1, Reason::Dropped);
        let other = Reason::OtherDenial { wanted: Denial::Reject, seen: Observation::TimedOut };
        let found = verdict(&finished, &format!("rejected/{port}/ipv4"));
        assert_eq!(found, (Verdict::Fail, other), "{port}");
    }
}

#[test]
fn one_answer_is_a_reject_and_no_drop() {
    let finished = run(DENIED, &["--fault", "reject"]);
    for port in ["main", "flow"] {
        let (found, reason) = verdict(&finished, &format!("rejected/{port}/ipv4"));
        assert_eq!(found, Verdict::Pass, "{port} {reason}");
        assert!(matches!(reason, Reason::Rejected { .. }), "{port} {reason}");
        let (found, reason) = verdict(&finished, &format!("dropped/{port}/ipv4"));
        assert_eq!(found, Verdict::Fail, "{port} {reason}");
        let other = matches!(reason, Reason::OtherDenial { wanted: Denial::Drop, .. });
        assert!(other, "{port} {reason}");
    }
}

#[test]
fn a_window_is_as_long_as_the_case_says() {
    let of = |timeout: &str| {
        let text = DENIED.replace("denial: drop}", &format!("timeout: {timeout}}}"));
        let finished = run(&text, &["--filter", "dropped/main"]);
        assert_eq!(verdict(&finished, "dropped/main/ipv4").1, Reason::Dropped, "{timeout}");
        // From one round's end to the next one's passes a window at least.
        let rounds: Vec<u64> = finished
            .records()
            .into_iter()
            .filter(|record| matches!(record.event, Event::Round { .. }))
            .map(|record| record.at)
            .collect();
        rounds.windows(2).map(|pair| pair[1] - pair[0]).min().expect("two rounds")
    };
    let (short, long) = (of("300ms"), of("2s"));
    assert!(short < 1_500, "{short} ms");
    assert!(long >= 2_000, "{long} ms");
}
