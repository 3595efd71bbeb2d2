//! Fixed records for the tests of this module.

use std::time::Duration;

use crate::{
    event::{
        Canary, CanaryState, CaseInfo, CaseOutcome, ClusterInfo, Direction, Endpoints, Event,
        Interruption, Record, VERSION,
    },
    model::{Connectivity, Connectivity::*, Family, IpProtocol, RunId},
    plan::CaseId,
    verdict::{
        AnsweredBy, Change, ControlKind, ControlState, Controls, Judgement, Observation, Reason,
        Verdict,
    },
};

pub(super) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn records(events: impl IntoIterator<Item = Event>) -> Vec<Record> {
    let stamped = events.into_iter().enumerate();
    stamped.map(|(number, event)| Record { at: 100 * number as u64, event }).collect()
}

pub(super) fn info(from: &str, to: &str, expect: Connectivity) -> CaseInfo {
    CaseInfo {
        step: "base".to_owned(),
        id: CaseId(format!("shop/base/{from}-{to}/main/ipv4")),
        suite: "shop".to_owned(),
        name: format!("{from}-{to}"),
        from: from.to_owned(),
        to: to.to_owned(),
        port_label: "main".to_owned(),
        port: "8080/tcp".parse().unwrap(),
        family: Family::Ipv4,
        expect,
        moment: Default::default(),
        because: None,
        location: "suites/shop.yaml:21:3".to_owned(),
    }
}

pub(super) fn started(cases: Vec<CaseInfo>) -> Event {
    Event::RunStarted {
        version: VERSION,
        run: RunId::from_random(0),
        netproof: "0.1.0".to_owned(),
        started: jiff::Timestamp::UNIX_EPOCH,
        cluster: ClusterInfo {
            context: "sandbox".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            version: "v1.36.0".to_owned(),
            nodes: vec!["node-1".to_owned(), "node-2".to_owned()],
        },
        cases,
        filtered_out: 0,
        repetition: None,
    }
}

pub(super) fn canary(node: &str, direction: Direction, state: CanaryState) -> Event {
    Event::Canary {
        canary: Canary {
            node: node.to_owned(),
            direction,
            transport: IpProtocol::Tcp,
            family: Family::Ipv4,
            state,
        },
    }
}

pub(super) fn proven() -> CanaryState {
    CanaryState::Proven { latency: ms(12) }
}

pub(super) fn open() -> CanaryState {
    CanaryState::StillOpen { tried: ms(30_000) }
}

/// Canaries on two nodes, both directions, in this order: node by node, ingress first.
pub(super) fn canaries(states: [CanaryState; 4]) -> Vec<Event> {
    let places = [
        ("node-1", Direction::Ingress),
        ("node-1", Direction::Egress),
        ("node-2", Direction::Ingress),
        ("node-2", Direction::Egress),
    ];
    let both = places.into_iter().zip(states);
    both.map(|((node, direction), state)| canary(node, direction, state)).collect()
}

pub(super) fn agent(identity: &str) -> Observation {
    let saw = "10.0.1.5:23001".parse().unwrap();
    Observation::Connected { by: AnsweredBy::Agent { identity: identity.to_owned(), saw } }
}

pub(super) fn all_up() -> Controls {
    use ControlKind::*;
    let kinds = [SourcePodPath, DestinationPodPath, NodePath, Listener, Canary];
    kinds.map(|kind| (kind, ControlState::Up)).into_iter().collect()
}

pub(super) fn outcome(verdict: Verdict, reason: Reason, seen: Observation) -> CaseOutcome {
    CaseOutcome {
        judgement: Judgement { verdict, reason },
        cause: None,
        history: vec![Change { round: 1, at: ms(900), seen: seen.clone() }],
        seen: Some(seen),
        controls: all_up(),
        latency: None,
        latency_error: None,
        endpoints: Endpoints {
            source: "np-aaaaaa-shop/np-aaaaaa-web-0 (10.0.1.5, node-1)".to_owned(),
            destination: "np-aaaaaa-shop/np-aaaaaa-api-0 (10.0.2.7, node-2)".to_owned(),
            labels: [("from", "app=web"), ("to", "app=api")]
                .map(|(end, labels)| (end.to_owned(), labels.to_owned()))
                .into(),
            seen_as: None,
        },
        proves_nothing: false,
        took: ms(1_234),
    }
}

pub(super) fn judged(info: &CaseInfo, outcome: CaseOutcome) -> Event {
    Event::CaseJudged { id: info.id.clone(), outcome: Box::new(outcome) }
}

pub(super) fn passed() -> CaseOutcome {
    outcome(
        Verdict::Pass,
        Reason::Answered { by: "np-aaaaaa-api-0".to_owned() },
        agent("np-aaaaaa-api-0"),
    )
}

pub(super) fn dropped() -> CaseOutcome {
    let mut outcome = outcome(Verdict::Pass, Reason::Dropped, Observation::TimedOut);
    outcome.latency = Some(ms(40));
    outcome.history.insert(0, Change { round: 1, at: ms(800), seen: agent("np-aaaaaa-api-0") });
    outcome
}

pub(super) fn leaked() -> CaseOutcome {
    outcome(
        Verdict::Fail,
        Reason::Connected { by: "np-aaaaaa-api-0".to_owned() },
        agent("np-aaaaaa-api-0"),
    )
}

pub(super) fn finished(complete: bool) -> Event {
    Event::RunFinished { complete }
}

/// Two cases that pass on a CNI that enforces.
pub(super) fn green() -> Vec<Event> {
    let cases = vec![info("web", "api", Allowed), info("api", "web", Blocked)];
    let mut events = vec![started(cases.clone())];
    events.extend(canaries([proven(), proven(), proven(), proven()]));
    events.push(judged(&cases[0], passed()));
    events.push(judged(&cases[1], dropped()));
    events.push(Event::Swept { removed: 9, left: Vec::new(), kept: false });
    events.push(finished(true));
    events
}

/// One case of each verdict, and more reasons.
pub(super) fn mixed() -> Vec<Event> {
    let mut cases = vec![
        info("web", "api", Allowed),
        info("worker", "database", Blocked),
        info("web", "database", Allowed),
        info("api", "worker", Blocked),
        info("web", "far", Blocked),
        info("api", "far", Blocked),
    ];
    cases[1].because = Some("only the api speaks SQL; see the threat model, chapter 3".to_owned());
    let mut down = outcome(
        Verdict::Inconclusive,
        Reason::ControlNotUp {
            control: ControlKind::Listener,
            detail: "refused inside np-aaaaaa-worker-0".to_owned(),
        },
        Observation::TimedOut,
    );
    let listener = ControlState::Down { detail: "refused inside np-aaaaaa-worker-0".to_owned() };
    down.controls.insert(ControlKind::Listener, listener);
    let mut flapping =
        outcome(Verdict::Fail, Reason::Flapping { changes: 2 }, Observation::TimedOut);
    flapping.history = (1..12)
        .map(|round| Change {
            round,
            at: ms(u64::from(round) * 900),
            seen: if round % 2 == 0 { Observation::TimedOut } else { agent("np-aaaaaa-api-0") },
        })
        .collect();
    let not_run = |because: &str| CaseOutcome {
        seen: None,
        history: Vec::new(),
        controls: Controls::default(),
        ..outcome(
            Verdict::NotRun,
            Reason::NotAsked { because: because.to_owned() },
            Observation::TimedOut,
        )
    };
    let mut events = vec![started(cases.clone())];
    events.extend(canaries([proven(), proven(), proven(), proven()]));
    events.push(Event::Warning {
        message: "node-3 is not used: it has the taint dedicated=gpu:NoSchedule".to_owned(),
        remedy: None,
    });
    events.push(judged(&cases[0], passed()));
    events.push(judged(&cases[1], leaked()));
    events.push(judged(&cases[2], flapping));
    events.push(judged(&cases[3], down));
    events.push(judged(&cases[4], not_run("the cluster's pods have no ipv6 address")));
    events.push(judged(&cases[5], not_run("the cluster's pods have no ipv6 address")));
    events.push(finished(true));
    events
}

/// A CNI that enforces nothing: an allow passes, a deny fails.
pub(super) fn unenforced() -> Vec<Event> {
    let cases = vec![info("web", "api", Allowed), info("api", "web", Blocked)];
    let mut events = vec![started(cases.clone())];
    events.extend(canaries([open(), open(), open(), open()]));
    let passed = CaseOutcome { proves_nothing: true, ..passed() };
    events.push(judged(&cases[0], passed));
    events.push(judged(&cases[1], leaked()));
    events.push(finished(true));
    events
}

/// A CNI that enforces ingress and ignores egress.
pub(super) fn partly(last: CaseOutcome) -> Vec<Event> {
    let cases = vec![info("web", "api", Allowed), info("api", "web", Blocked)];
    let mut events = vec![started(cases.clone())];
    events.extend(canaries([proven(), open(), proven(), open()]));
    events.push(judged(&cases[0], passed()));
    events.push(judged(&cases[1], last));
    events.push(finished(true));
    events
}

/// One of two cases was judged when the run was told to stop.
pub(super) fn interrupted(by: Interruption) -> Vec<Event> {
    let mut events = green();
    events.truncate(6);
    events.push(Event::Interrupted { by });
    let left = vec!["Namespace np-aaaaaa-shop".to_owned()];
    events.push(Event::Swept { removed: 8, left, kept: false });
    events.push(finished(false));
    events
}

/// The run could not go on before any case was judged.
pub(super) fn aborted() -> Vec<Event> {
    let mut events = green();
    events.truncate(1);
    events.push(Event::Aborted {
        message: "create pod np-aaaaaa-shop/np-aaaaaa-web-0: quota exceeded: compute".to_owned(),
        remedy: Some("Raise the quota `compute`, or run with fewer peers.".to_owned()),
        touched: true,
    });
    events.push(finished(false));
    events
}
