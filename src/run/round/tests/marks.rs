//! Canaries and markers: what they tell of a node.

use super::*;
use crate::run::arrival::Arrival;

const PAIR: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
cases: [{name: one, from: a, to: b, port: main, expect: deny}]
";

#[tokio::test]
async fn nothing_is_enforced_where_one_canary_stayed_open_and_none_was_isolated() {
    let plan = planned(PAIR);
    let live = live(&plan).await;
    let open = || CanaryState::StillOpen { tried: Duration::from_secs(30) };
    let isolated = || CanaryState::Proven { latency: Duration::ZERO };
    let never = || CanaryState::NeverReached { seen: Observation::TimedOut };
    type Row<'r> = (&'r str, &'r dyn Fn(&str, IpProtocol) -> CanaryState, bool);
    let rows: [Row<'_>; 5] = [
        ("all isolated", &|_, _| isolated(), false),
        ("all open", &|_, _| open(), true),
        ("one node", &|node, _| if node == "one" { open() } else { isolated() }, true),
        (
            "one transport",
            &|_, over| if over == IpProtocol::Tcp { open() } else { isolated() },
            false,
        ),
        (
            "ICMP is each CNI's own affair",
            &|_, over| if over == IpProtocol::Icmp { open() } else { never() },
            false,
        ),
    ];
    for (what, state, expected) in rows {
        let transports = [IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Icmp].into();
        let marker = Marker::new(&live, &transports, &[Family::Ipv4].into());
        let states = marker.dials.keys().map(|key| (key.clone(), state(&key.node, key.transport)));
        marker.states().extend(states);
        assert_eq!(marker.some_node_enforces_nothing(), expected, "{what}");
    }
}

#[tokio::test]
async fn a_proof_ends_with_a_marker_that_stays_open_and_no_other_finding_does() {
    let plan = planned(PAIR);
    let live = live(&plan).await;
    let marker = proven(&live);
    let key = marker.dials.keys().next().expect("a canary").clone();
    let tried = Duration::from_secs(30);
    marker.no_longer(&key, tried);
    assert_eq!(marker.state(&key), Some(CanaryState::StillOpen { tried }));
    let lost = CanaryState::Lost { seen: Observation::TimedOut };
    marker.states().insert(key.clone(), lost.clone());
    marker.no_longer(&key, tried);
    assert_eq!(marker.state(&key), Some(lost));
}

#[tokio::test]
async fn markers_speak_what_policies_are_about_and_tcp_where_that_is_nothing() {
    use IpProtocol::{Icmp, Tcp, Udp};
    let plan = planned(PAIR);
    let live = live(&plan).await;
    for (asked, expected) in [
        (&[Icmp][..], &[Tcp][..]),
        (&[Udp, Icmp], &[Udp]),
        (&[Tcp, Udp], &[Tcp, Udp]),
        (&[], &[Tcp]),
    ] {
        let asked = asked.iter().copied().collect();
        let arrival = Arrival::new(&live, &asked, &[Family::Ipv4].into());
        let expected = expected.iter().copied().collect();
        assert_eq!(arrival.transports(), expected, "asked {asked:?}");
    }
}
