//! Canaries of made-up networks: what is isolation, and what only looks like it.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{Family, IpProtocol, Labels},
    plan::{Plan, PodIndex},
    run::{
        dial::{Dial, Dialled, Whom},
        round::tests::{address, agent, planned, relabelled},
    },
};

const LAB: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
cases: [{name: one, from: a, to: b, port: main, expect: deny}]
";

/// How a canary is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// By a single quick attempt.
    Hint,
    /// For a full window.
    Window,
    /// From inside.
    Inside,
}

/// What a network says: where nothing else is told, whoever is asked answers.
fn dialled(
    plan: &Plan,
    dials: &BTreeSet<Dial>,
    timing: Timing,
    told: impl Fn(&str, How) -> Option<Observation>,
) -> Dialled {
    let started = Instant::now();
    let answer = |dial: &Dial| {
        let is_it = |pod: &PodIndex| dial.whom == Whom::Address(address(*pod));
        let asked = (0..plan.pods.len()).map(PodIndex).find(is_it).expect("a pod's address");
        let how = match () {
            () if asked == dial.source => How::Inside,
            () if timing == HINT => How::Hint,
            () => How::Window,
        };
        let asked = plan.pod(asked);
        told(&asked.node, how).unwrap_or_else(|| agent(&asked.name))
    };
    let seen = |dial: &Dial| Seen { address: None, observation: answer(dial), at: started };
    let seen: BTreeMap<_, _> = dials.iter().map(|dial| (dial.clone(), vec![seen(dial)])).collect();
    Dialled { started, ended: Instant::now(), seen }
}

fn marker(live: &Live<'_>) -> Marker {
    Marker::new(live, &[IpProtocol::Tcp].into(), &[Family::Ipv4].into())
}

#[tokio::test]
async fn a_canary_is_isolated_when_a_whole_window_is_silent_and_it_still_listens() {
    let plan = planned(LAB);
    let silent = || Some(Observation::TimedOut);
    let lost = || Some(Observation::AgentFailed { message: "gone".to_owned() });
    let stranger = || Some(agent("np-aaaaaa-stranger-0"));
    type Told<'t> = &'t (dyn Fn(&str, How) -> Option<Observation> + Sync);
    let rows: [(&str, Told<'_>, &str); 8] = [
        ("nothing enforces", &|_, _| None, "open"),
        ("isolated", &|_, how| if how == How::Inside { None } else { silent() }, "proven"),
        (
            "refused",
            &|_, how| if how == How::Inside { None } else { Some(Observation::Refused) },
            "proven",
        ),
        ("a lost packet", &|_, how| if how == How::Hint { silent() } else { None }, "open"),
        ("a dead listener", &|_, _| silent(), "lost"),
        (
            "somebody else listens",
            &|_, how| if how == How::Inside { stranger() } else { silent() },
            "lost",
        ),
        ("nobody could ask", &|_, how| if how == How::Inside { None } else { lost() }, "lost"),
        (
            "somebody else answers in the window",
            &|_, how| match how {
                How::Inside => None,
                How::Hint => silent(),
                How::Window => stranger(),
            },
            "lost",
        ),
    ];
    for (what, told, expected) in rows {
        let mut live = relabelled(&plan, |_| Vec::new()).await;
        live.network = Some(Box::new(|dials, timing| dialled(&plan, dials, timing, told)));
        let (states, bite) = isolated(&live).await;
        for (key, state) in states {
            assert_eq!(word(&state), expected, "{what}: {key:?} is {state:?}");
        }
        let bitten = matches!(bite, Bite::Bitten { .. });
        assert_eq!(bitten, expected == "proven", "{what}: {bite:?}");
    }
}

#[tokio::test]
async fn a_canary_that_others_have_changed_accuses_nobody() {
    let plan = planned(LAB);
    let pods = plan.controls["one"];
    let none = Labels::new();
    for (what, changed, expected) in [
        ("nobody changed them", None, ["open", "open"]),
        ("the canary of ingress", Some(pods.canary_ingress), ["lost", "open"]),
        ("the canary of egress", Some(pods.canary_egress), ["open", "lost"]),
        ("who asks the one and is asked by the other", Some(pods.witness), ["lost", "lost"]),
    ] {
        let mut live = relabelled(&plan, |pod| {
            if Some(pod) == changed {
                vec![none.clone(), [("app".into(), "x".into())].into()]
            } else {
                Vec::new()
            }
        })
        .await;
        live.network = Some(Box::new(|dials, timing| dialled(&plan, dials, timing, |_, _| None)));
        let (states, _) = isolated(&live).await;
        let on_one = states.iter().filter(|(key, _)| key.node == "one");
        let found: Vec<_> = on_one.map(|(_, state)| word(state)).collect();
        assert_eq!(found, expected, "{what}");
        let others = states.iter().filter(|(key, _)| key.node != "one");
        let others: BTreeSet<_> = others.map(|(_, state)| word(state)).collect();
        assert_eq!(others, ["open"].into(), "{what}: the other node");
    }
}

#[tokio::test]
async fn the_canaries_have_bitten_with_the_last_of_those_that_can() {
    let plan = planned(LAB);
    let mut live = relabelled(&plan, |_| Vec::new()).await;
    live.network = Some(Box::new(|dials, timing| {
        dialled(&plan, dials, timing, |node, how| {
            (node == "one" && how != How::Inside).then_some(Observation::TimedOut)
        })
    }));
    let begun = Instant::now();
    let (states, bite) = isolated(&live).await;
    for (key, state) in &states {
        let expected = if key.node == "one" { "proven" } else { "open" };
        assert_eq!(word(state), expected, "{key:?}");
    }
    let Bite::Bitten { at, latency } = bite else { panic!("{bite:?}") };
    assert!(latency > Duration::ZERO, "from the write to the first hint of silence");
    assert!(at >= begun + latency, "a window begins no earlier than the first hint");
}

/// What came of the canaries, and what was told of them.
async fn isolated(live: &Live<'_>) -> (Vec<(Key, CanaryState)>, Bite) {
    let marker = marker(live);
    let options = Options { canary_within: Duration::from_millis(30), ..Options::for_sandbox() };
    let (bite, told) = watch::channel(Bite::Pending);
    marker.isolate(live, &options, &Stop::new(), Instant::now(), &bite).await;
    let states = marker.states().clone();
    assert_eq!(states.len(), marker.dials.len(), "each is decided");
    (states.into_iter().collect(), *told.borrow())
}

fn word(state: &CanaryState) -> &'static str {
    match state {
        CanaryState::Proven { .. } => "proven",
        CanaryState::StillOpen { .. } => "open",
        CanaryState::NeverReached { .. } => "never",
        CanaryState::Lost { .. } => "lost",
    }
}
