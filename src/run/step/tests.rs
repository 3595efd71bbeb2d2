//! Steps of made-up networks: which rounds count, when they end, and what is told of them.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    cluster::{AGENT_CONTAINER, Session},
    event::CanaryState,
    model::{Family, IpProtocol, Labels},
    plan::PodIndex,
    report::channel,
    run::round::tests::{Told, answered, live, planned, proven, relabelled, short},
    verdict::{Change, Observation, Reason, SettlingRules},
};

const LAB: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  a: {pod: {namespace: lab, labels: {app: a}}}
  b: {pod: {namespace: lab, labels: {app: b}}}
  c: {pod: {namespace: lab, labels: {app: c}}}
  out: {ip: 192.0.2.1}
cases:
  - {name: there, from: a, to: b, port: main, expect: allow, within: 2s}
  - {name: back, from: b, to: a, port: main, expect: allow, within: 5s}
  - {name: outwards, from: a, to: out, port: 80, expect: allow, reachedBy: b, within: 1s}
  - {name: beside, from: c, to: b, port: main, expect: allow, within: 9s}
";

/// What a step runs in, but for its pods and canaries.
struct Lab<'a> {
    context: RunContext,
    cases: Vec<&'a PlannedCase>,
    remembered: BTreeSet<CaseId>,
    options: Options,
    stop: Stop,
    events: EventSender,
    said: Said,
    origin: Instant,
}

impl<'a> Lab<'a> {
    fn new(live: &Live<'a>) -> Self {
        let settling = SettlingRules {
            settle_at_least: Duration::from_millis(1),
            holding_rounds: 2,
            silence_at_least: Duration::ZERO,
        };
        let asked = |case: &PlannedCase| matches!(case.name.as_str(), "there" | "back");
        let round_interval = Duration::from_millis(1);
        Self {
            context: RunContext::out_of_reach(&live.plan.run),
            cases: live.plan.cases().filter(|case| asked(case)).collect(),
            remembered: BTreeSet::new(),
            options: Options { settling, round_interval, ..Options::for_sandbox() },
            stop: Stop::new(),
            events: channel(Vec::new()).0,
            said: Said::default(),
            origin: Instant::now(),
        }
    }

    fn step<'s>(
        &'s self,
        live: &'s Live<'s>,
        marker: &'s Marker,
        written: Option<Instant>,
    ) -> Step<'s> {
        Step {
            context: &self.context,
            live,
            suite: "lab",
            name: "base",
            cases: &self.cases,
            remembered: &self.remembered,
            marker,
            options: &self.options,
            stop: &self.stop,
            events: &self.events,
            origin: self.origin,
            written,
            said: &self.said,
        }
    }
}

/// Rounds of milliseconds have ended by then, however slow the machine.
const SOON: Duration = Duration::from_secs(60);

/// Everybody answers.
const OPEN: Told<'static> = &|_, _, _, _| None;

fn pod(live: &Live<'_>, name: &str) -> PodIndex {
    let of = |pod: &crate::plan::PlannedPod| short(&pod.name) == name;
    PodIndex(live.plan.pods.iter().position(of).expect("a pod"))
}

/// Canaries that all came to the same.
fn all(live: &Live<'_>, state: &CanaryState) -> Marker {
    let marker = Marker::new(live, &[IpProtocol::Tcp].into(), &[Family::Ipv4].into());
    marker.states().extend(marker.dials.keys().map(|key| (key.clone(), state.clone())));
    marker
}

fn still_open() -> CanaryState {
    CanaryState::StillOpen { tried: Duration::from_secs(30) }
}

#[tokio::test]
async fn a_round_counts_once_the_marker_has_bitten_or_every_budget_is_spent() {
    let plan = planned(LAB);
    let live = live(&plan).await;
    let marker = proven(&live);
    let lab = Lab::new(&live);
    let at = |seconds| lab.origin + Duration::from_secs(seconds);
    let bitten = |seconds| Bite::Bitten { at: at(seconds), latency: Duration::ZERO };
    for (what, bite, written, began, started, expected) in [
        ("bitten before", bitten(14), Some(10), 10, 15, true),
        ("bitten at its start", bitten(15), Some(10), 10, 15, true),
        ("bitten after its start", bitten(16), Some(10), 10, 15, false),
        ("still to bite", Bite::Pending, Some(10), 10, 99, false),
        ("still to be proven", Bite::Confirming, Some(10), 10, 99, false),
        ("no marker, nothing changed", Bite::Never, None, 10, 10, true),
        ("no marker, the shorter budget spent", Bite::Never, Some(10), 10, 14, false),
        ("no marker, both budgets spent", Bite::Never, Some(10), 10, 15, true),
        ("no marker, a late first round: from the write", Bite::Never, Some(10), 13, 17, false),
        ("no marker, a late first round: from it", Bite::Never, Some(10), 13, 18, true),
        ("no marker, a late write: from the round", Bite::Never, Some(13), 10, 17, false),
    ] {
        let step = lab.step(&live, &marker, written.map(at));
        assert_eq!(step.counts(bite, at(started), at(began)), expected, "{what}");
    }
}

#[tokio::test]
async fn a_budget_begins_with_the_last_of_the_write_and_both_pods() {
    let plan = planned(LAB);
    let live = live(&plan).await;
    let marker = proven(&live);
    let lab = Lab::new(&live);
    let case = |name: &str| plan.cases().find(|case| case.name == name).expect("a case");
    let ready = |name| live.state(pod(&live, name)).and_then(|state| state.containers_ready_since);
    let (a, b) = (ready("a").expect("ready"), ready("b").expect("ready"));
    assert!(a < b, "b was made later");
    let hour = Duration::from_secs(3_600);
    let (early, late, began) = (a.checked_sub(hour).expect("a past"), b + hour, b + 2 * hour);
    for (what, name, written, expected) in [
        ("nothing was written", "there", None, began),
        ("the destination is the last", "there", Some(early), b),
        ("the source is the last", "back", Some(early), b),
        ("only one end is a pod of ours", "outwards", Some(early), a),
        ("the write is the last", "there", Some(late), late),
    ] {
        let step = lab.step(&live, &marker, written);
        assert_eq!(step.changed_at(case(name), began), expected, "{what}");
    }
}

#[tokio::test]
async fn rounds_end_early_only_where_nothing_is_enforced_and_no_marker_will_tell() {
    let plan = planned(LAB);
    let bitten = || Bite::Bitten { at: Instant::now(), latency: Duration::ZERO };
    let never = CanaryState::NeverReached { seen: Observation::TimedOut };
    for (what, bite, state, rounds) in [
        ("nothing is enforced", Bite::Never, still_open(), 1),
        ("that isn't known", Bite::Never, never, 2),
        ("something has bitten", bitten(), still_open(), 2),
    ] {
        let mut live = live(&plan).await;
        live.network = Some(Box::new(|dials, _| answered(&plan, dials, 0, OPEN)));
        let (marker, lab) = (all(&live, &state), Lab::new(&live));
        let (_bite, told) = watch::channel(bite);
        let step = lab.step(&live, &marker, None);
        let (settling, ..) = tokio::time::timeout(SOON, step.rounds(told)).await.expect(what);
        let seen = settling.expect("rounds").rounds();
        let fits = if rounds == 1 { seen == 1 } else { seen >= rounds };
        assert!(fits, "{what}: {seen} rounds");
    }
}

#[tokio::test]
async fn what_was_seen_before_the_marker_bit_holds_nothing() {
    let plan = planned(LAB);
    let mut live = live(&plan).await;
    live.network = Some(Box::new(|dials, _| answered(&plan, dials, 0, OPEN)));
    let (marker, lab) = (proven(&live), Lab::new(&live));
    let (bite, told) = watch::channel(Bite::Confirming);
    let latency = Duration::from_millis(20);
    let biting = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bite.send_replace(Bite::Bitten { at: Instant::now(), latency });
    };
    let step = lab.step(&live, &marker, None);
    let rounds = async { tokio::time::timeout(SOON, step.rounds(told)).await.expect("an end") };
    let ((settling, ..), ()) = tokio::join!(rounds, biting);
    let settling = settling.expect("rounds");
    assert_eq!(settling.rounds(), 1 + 2, "one that waited for the proof, and two that held");
    assert_eq!(settling.settle(), 2 * latency, "it settles as slowly as the marker did");
}

#[tokio::test]
async fn a_pod_that_others_relabel_spoils_its_cases_also_when_it_is_put_back() {
    let plan = planned(LAB);
    let app = |value: &str| Labels::from([("app".to_owned(), value.to_owned())]);
    type Row<'r> = (&'r str, &'r str, &'r [&'r str], Option<&'r str>, bool);
    let rows: [Row<'_>; 5] = [
        ("nobody touched it", "b", &["b"], None, false),
        ("another label", "b", &["b", "x"], None, true),
        ("put back", "b", &["b", "x", "b"], None, true),
        ("the step's own label", "b", &["x"], Some("x"), false),
        ("a pod of no case", "c", &["c", "x"], None, false),
    ];
    for (what, name, worn, by_step, spoiled) in rows {
        let mut live = relabelled(&plan, |index| {
            let is_it = short(&plan.pod(index).name) == name;
            worn.iter().filter(|_| is_it).map(|value| app(value)).collect()
        })
        .await;
        if let Some(value) = by_step {
            live.relabel(pod(&live, name), app(value));
        }
        let lab = Lab::new(&live);
        for name in ["a", "b", "c"] {
            let index = pod(&live, name);
            let planned = plan.pod(index);
            let (namespace, name) = (&planned.namespace, &planned.name);
            let cancel = CancellationToken::new();
            let session = Session::open(&lab.context, namespace, name, AGENT_CONTAINER, cancel);
            live.add(index, session);
        }
        let dialled = AtomicU32::new(0);
        let (stop, plan) = (lab.stop.clone(), &plan);
        live.network = Some(Box::new(move |dials, _| {
            // Four times a round.
            if dialled.fetch_add(1, Ordering::Relaxed) == 8 {
                stop.stop(Interruption::Signal);
            }
            answered(plan, dials, 0, OPEN)
        }));
        let marker = proven(&live);
        let (_bite, told) = watch::channel(Bite::Never);
        let (_, last, _) = lab.step(&live, &marker, None).rounds(told).await;
        let seen = &last.first().expect("a round").seen.observation;
        let is_strange = matches!(seen, Observation::NotAsPlanned { .. });
        assert_eq!(is_strange, spoiled, "{what}: {seen}");
    }
}

#[tokio::test]
async fn an_outcome_tells_what_proves_nothing_how_exact_it_is_and_how_long_it_took() {
    let plan = planned(LAB);
    let mut live = live(&plan).await;
    live.network = Some(Box::new(|dials, _| answered(&plan, dials, 0, OPEN)));
    let (marker, lab) = (proven(&live), Lab::new(&live));
    let step = lab.step(&live, &marker, None);
    let (passed, failed) = (Verdict::Pass, Verdict::Fail);
    let (at, gap) = (Duration::from_secs(7), Duration::from_millis(3));
    let began = lab.origin + Duration::from_secs(2);
    for (what, verdict, enforces_nothing, latency, expected) in [
        ("a pass where nothing is enforced", passed, true, None, (true, None)),
        ("a pass where something is", passed, false, None, (false, None)),
        ("a failure proves that much", failed, true, None, (false, None)),
        ("as exact as the rounds are close", passed, false, Some(at), (false, Some(gap))),
    ] {
        let asked = round::ask(step.context, &live, step.cases, lab.options.timing).await;
        let round = asked.judge(&live, &marker, &BTreeMap::new()).remove(0);
        let seen = Observation::TimedOut;
        let change = |round, at| Change { round, at, seen: seen.clone() };
        let settled = Settled {
            judgement: Judgement { verdict, reason: Reason::Dropped },
            seen: Some(seen.clone()),
            history: vec![change(1, Duration::from_secs(3)), change(2, at)],
            latency,
            latency_gap: gap,
        };
        let case = lab.cases[0];
        let outcome = step.outcome(case, settled, round, enforces_nothing, began);
        assert_eq!((outcome.proves_nothing, outcome.latency_error), expected, "{what}");
        assert_eq!(outcome.took, Duration::from_secs(5), "{what}: from the first round");
        assert_eq!(outcome.latency, latency, "{what}");
    }
}
