//! Canaries and markers: what they tell of a node.

use super::*;
use crate::run::{Stop, arrival::Arrival, mark::Tried};

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

#[tokio::test]
async fn a_marker_that_stays_open_accuses_only_after_the_canaries_were_proven() {
    let plan = planned(PAIR);
    let live = live(&plan).await;
    let transports = [IpProtocol::Tcp].into();
    let key = proven(&live).dials.keys().next().expect("a canary").clone();
    for (what, is_proven, open, expected) in [
        ("proven before", true, true, true),
        ("the first step", false, true, false),
        ("all closed", true, false, false),
    ] {
        let arrival = Arrival::new(&live, &transports, &[Family::Ipv4].into());
        let tried = Tried { marker: proven(&live), arrival, proven: is_proven };
        let lost = open.then(|| key.clone()).into_iter().collect();
        assert_eq!(tried.disproved(&lost, Duration::from_secs(1)), expected, "{what}");
        let accused = matches!(tried.marker.state(&key), Some(CanaryState::StillOpen { .. }));
        assert_eq!(accused, expected, "{what}: the canary");
    }
}

#[tokio::test]
async fn a_marker_has_closed_when_nothing_gets_in_and_opened_when_it_answers_itself() {
    let plan = planned(PAIR);
    let within = Duration::from_millis(20);
    let stranger = || answer(agent("np-aaaaaa-stranger-0"));
    let refused = || answer(Observation::Refused);
    let lost = || answer(Observation::AgentFailed { message: "gone".to_owned() });
    let (quick, long) = (2, 4);
    type Row<'r> = (&'r str, bool, bool, Told<'r>, bool);
    // What is told goes by how often a question is tried.
    let rows: [Row<'_>; 9] = [
        ("closes: silent", true, false, &|_, _, _, _| silent(), true),
        ("closes: refused", true, false, &|_, _, _, _| refused(), true),
        ("closes: still answered", true, false, &|_, _, _, _| None, false),
        ("closes: somebody answers", true, false, &|_, _, _, _| stranger(), false),
        ("closes: nobody could ask", true, false, &|_, _, _, _| lost(), false),
        (
            "closes: a lucky loss, where canaries prove it",
            true,
            false,
            &|_, _, _, often| if often == quick { silent() } else { None },
            true,
        ),
        (
            "closes: a lucky loss, where nothing else does",
            true,
            true,
            &|_, _, _, often| if often == long { None } else { silent() },
            false,
        ),
        ("opens: answered", false, false, &|_, _, _, _| None, true),
        ("opens: by somebody else", false, false, &|_, _, _, _| stranger(), false),
    ];
    for (what, closes, surely, told, expected) in rows {
        let mut live = live(&plan).await;
        live.network = Some(Box::new(|dials, timing| {
            answered(&plan, dials, u8::try_from(timing.attempts).expect("few"), told)
        }));
        let arrival = Arrival::new(&live, &[IpProtocol::Tcp].into(), &[Family::Ipv4].into());
        let (stop, written) = (Stop::new(), Instant::now());
        let followed = if closes {
            arrival.closes(&live, &stop, written, within, surely).await
        } else {
            arrival.opens(&live, &stop, written, within).await
        };
        assert_eq!(followed.lost.is_empty(), expected, "{what}");
        assert_eq!(!arrival.is_empty(), expected, "{what}: of use later");
    }
}
