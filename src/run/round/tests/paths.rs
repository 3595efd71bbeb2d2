//! Pods, the ways between their nodes, and addresses that aren't ours.

use super::*;

const PAIR: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}, ports: {main: 9090/tcp, admin: 9091/tcp}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
  d: {pod: {namespace: lab, labels: {app: d}, ports: {main: 9090/tcp, admin: 9091/tcp}}}
cases:
  - {name: closed, from: a, to: b, port: main, expect: deny}
  - {name: open, from: c, to: d, port: main, expect: allow}
  - {name: beside, from: c, to: d, port: admin, expect: allow}
";

/// The judgement of `closed`, between a on node one and b on node two.
async fn closed(told: Told<'_>) -> (Verdict, Reason) {
    let plan = planned(PAIR);
    let live = live(&plan).await;
    let marker = proven(&live);
    let (judgement, _) =
        judged(&live, &marker, &Services::new(), told).await.remove("closed").expect("asked");
    (judgement.verdict, judgement.reason)
}

fn names(reason: &Reason) -> Option<ControlKind> {
    match reason {
        Reason::ControlNotUp { control, .. } | Reason::PathDown { control, .. } => Some(*control),
        _ => None,
    }
}

#[tokio::test]
async fn a_denial_stands_on_a_listener_before_and_after_the_window() {
    for (dead_in, expected) in [
        (None, None),
        (Some(0), Some(ControlKind::Listener)),
        (Some(3), Some(ControlKind::Listener)),
    ] {
        let (verdict, reason) = closed(&|from, to, _, part| match (from, to) {
            ("a", "b") => silent(),
            ("b", "b") if Some(part) == dead_in => silent(),
            _ => None,
        })
        .await;
        let passes = if expected.is_none() { Verdict::Pass } else { Verdict::Inconclusive };
        assert_eq!((verdict, names(&reason)), (passes, expected), "dead in {dead_in:?}: {reason}");
    }
}

#[tokio::test]
async fn the_way_between_nodes_is_proven_by_whoever_is_met_there_on_the_same_port() {
    let lost = || answer(Observation::AgentFailed { message: "gone".to_owned() });
    let stranger = || answer(agent("np-aaaaaa-stranger-0"));
    let is_control = |from: &str| from.starts_with("witness");
    type Row<'r> = (&'r str, Told<'r>, bool);
    let rows: [Row<'_>; 6] = [
        (
            "control pods",
            &|from, to, _, _| match (from, to) {
                ("a", "b") | ("c", _) => silent(),
                _ => None,
            },
            true,
        ),
        (
            "another case on that way and port",
            &|from, to, _, _| match (from, to) {
                ("a", "b") => silent(),
                _ if is_control(from) => silent(),
                _ => None,
            },
            true,
        ),
        (
            "another port is another matter",
            &|from, to, port, _| match (from, to, port) {
                ("a", "b", _) | ("c", "d", 9090) => silent(),
                _ if is_control(from) => silent(),
                _ => None,
            },
            false,
        ),
        (
            "another port, where no control pod can ask",
            &|from, to, port, _| match (from, to, port) {
                ("a", "b", _) | ("c", "d", 9090) => silent(),
                _ if is_control(from) => lost(),
                _ => None,
            },
            true,
        ),
        (
            "somebody else's answer to a case",
            &|from, to, _, _| match (from, to) {
                ("a", "b") => silent(),
                ("c", "d") => stranger(),
                _ if is_control(from) => silent(),
                _ => None,
            },
            false,
        ),
        (
            "somebody else's answer to a control pod",
            &|from, to, _, _| match (from, to) {
                ("a", "b") | ("c", "d") => silent(),
                _ if is_control(from) => stranger(),
                _ => None,
            },
            false,
        ),
    ];
    for (what, told, is_up) in rows {
        let (verdict, reason) = closed(told).await;
        let expected = if is_up {
            (Verdict::Pass, None)
        } else {
            (Verdict::Inconclusive, Some(ControlKind::NodePath))
        };
        assert_eq!((verdict, names(&reason)), expected, "{what}: {reason}");
    }
}

#[tokio::test]
async fn a_connection_from_before_proves_no_way_for_a_fresh_one() {
    let text = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
steps:
  - name: deny
    apply: [{inline: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {matchLabels: {app: b}}}}}]
    cases: [{name: one, from: a, to: b, port: main, expect: deny, established: survives}]
";
    let plan = planned(text);
    let mut live = live(&plan).await;
    let held = plan.cases().find(|case| case.name == "one/established").expect("a case");
    let mut fresh = Asked::at_rest(&live, held, &Services::new()).dial.expect("a dial");
    fresh.script = Arc::new(netproof_probe::wire::Script {
        hold: Some(netproof_probe::wire::Hold::Use { connection: 1 }),
        ..Default::default()
    });
    // Only the port tells the two apart here: a network knows no connections.
    fresh.port.number = 7;
    live.hold(held.id.clone(), Ok(fresh));
    let marker = proven(&live);
    let found = judged(&live, &marker, &Services::new(), &|from, to, port, _| match (from, to) {
        ("a", "b") if port != 7 => silent(),
        _ if from.starts_with("witness") => silent(),
        _ => None,
    })
    .await;
    assert_eq!(found["one/established"].0.verdict, Verdict::Pass);
    let (verdict, reason) = (found["one"].0.verdict, &found["one"].0.reason);
    assert_eq!((verdict, names(reason)), (Verdict::Inconclusive, Some(ControlKind::NodePath)));
}

const FAR: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  far: {host: far.example}
cases: [{name: far, from: a, to: far, port: 443, expect: deny, reachedBy: b}]
";

#[tokio::test]
async fn each_address_of_a_name_needs_a_witness_that_reached_it() {
    let [one, two]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().expect("it"));
    let both = |seen: [Observation; 2]| {
        let [first, second] = seen;
        Some(vec![(Some(one), first), (Some(two), second)])
    };
    type Row<'r> = (&'r str, Told<'r>, (Verdict, Option<ControlKind>));
    let timed_out = || Observation::TimedOut;
    let unproven = (Verdict::Inconclusive, Some(ControlKind::ReachedBy));
    let rows: [Row<'_>; 4] = [
        (
            "b reaches both",
            &|from, to, _, _| match (from, to) {
                ("a", "far.example") => both([timed_out(), timed_out()]),
                ("b", "far.example") => both([application(), application()]),
                _ => None,
            },
            (Verdict::Pass, None),
        ),
        (
            "b reaches the other only",
            &|from, to, _, _| match (from, to) {
                ("a", "far.example") => both([timed_out(), timed_out()]),
                ("b", "far.example") => both([timed_out(), application()]),
                _ => None,
            },
            unproven,
        ),
        (
            "b was told one only, and reaches the other when it is asked again",
            &|from, to, _, part| match (from, to) {
                ("a", "far.example") => both([timed_out(), timed_out()]),
                ("b", "far.example") => Some(vec![(Some(one), application())]),
                ("b", "192.0.2.2") if part == 2 => Some(vec![(Some(two), application())]),
                _ => None,
            },
            (Verdict::Pass, None),
        ),
        (
            "a reaches the second",
            &|from, to, _, _| match (from, to) {
                ("a", "far.example") => both([timed_out(), application()]),
                ("b", "far.example") => both([application(), application()]),
                _ => None,
            },
            (Verdict::Fail, None),
        ),
    ];
    for (what, told, expected) in rows {
        let plan = planned(FAR);
        let live = live(&plan).await;
        let marker = proven(&live);
        let found = judged(&live, &marker, &Services::new(), told).await;
        let reason = &found["far"].0.reason;
        assert_eq!((found["far"].0.verdict, names(reason)), expected, "{what}: {reason}");
    }
}

#[tokio::test]
async fn a_denial_stands_on_a_canary_of_one_end_and_on_none_that_is_unknown() {
    let open = CanaryState::StillOpen { tried: Duration::from_secs(30) };
    let never = CanaryState::NeverReached { seen: Observation::TimedOut };
    for (what, egress, ingress, passes) in [
        ("both", None, None, true),
        ("one end lets everything through", Some(&open), None, true),
        ("the other does", None, Some(&open), true),
        ("both do", Some(&open), Some(&open), false),
        ("one was never reached", Some(&never), None, false),
        ("the other was never reached", None, Some(&never), false),
    ] {
        let plan = planned(PAIR);
        let live = live(&plan).await;
        let marker = proven(&live);
        for (key, state) in marker.states().iter_mut() {
            let place = (key.node.as_str(), key.direction);
            if place == ("one", crate::event::Direction::Egress) {
                *state = egress.cloned().unwrap_or_else(|| state.clone());
            } else if place == ("two", crate::event::Direction::Ingress) {
                *state = ingress.cloned().unwrap_or_else(|| state.clone());
            }
        }
        let told: Told<'_> =
            &|from, to, _, _| if (from, to) == ("a", "b") { silent() } else { None };
        let found = judged(&live, &marker, &Services::new(), told).await;
        let expected = if passes { Verdict::Pass } else { Verdict::Inconclusive };
        assert_eq!(found["closed"].0.verdict, expected, "{what}: {}", found["closed"].0.reason);
    }
}
