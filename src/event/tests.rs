//! What is written to `--output json` reads back the same.

use std::time::Duration;

use netproof_probe::wire::Truncated;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    model::{Family, IpProtocol, Protocol},
    policy::{self, Action, Isolation, Outcome, Spec, SpecRule},
    suite::Denial,
    verdict::{
        AnsweredBy, Cause, CauseKind, Change, ControlKind, ControlState, Controls, Judgement,
        Observation, Reason, Verdict,
    },
};

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..86_400_000_000_000u64).prop_map(Duration::from_nanos)
}

fn observation() -> impl Strategy<Value = Observation> {
    prop_oneof![
        text().prop_map(|message| Observation::AgentFailed { message }),
        text().prop_map(|message| Observation::NotResolved { message }),
        text().prop_map(|message| Observation::NoDestination { message }),
        text().prop_map(|message| Observation::NotAsPlanned { message }),
        answered_by().prop_map(|by| Observation::Connected { by }),
        Just(Observation::Refused),
        Just(Observation::TimedOut),
        text().prop_map(|code| Observation::Prohibited { code }),
        text().prop_map(|message| Observation::NoRoute { message }),
        Just(Observation::Reset),
        text().prop_map(|message| Observation::LocalError { message }),
        text().prop_map(|message| Observation::NotThere { message }),
    ]
}

fn answered_by() -> impl Strategy<Value = AnsweredBy> {
    prop_oneof![
        (text(), any::<std::net::SocketAddr>())
            .prop_map(|(identity, saw)| AnsweredBy::Agent { identity, saw: port_only(saw) }),
        (option::of(any::<u16>()), text())
            .prop_map(|(status, summary)| AnsweredBy::Application { status, summary }),
        Just(AnsweredBy::Nobody),
        Just(AnsweredBy::Echo),
        text().prop_map(|version| AnsweredBy::Tls { version }),
        text().prop_map(|message| AnsweredBy::TlsFailed { message }),
        (text(), vec(text(), 0..3), option::of(text())).prop_map(|(code, records, message)| {
            let truncated = message.map(|message| match message.is_empty() {
                true => Truncated::OverTcp,
                false => Truncated::NoTcp { message },
            });
            AnsweredBy::Dns { code, records, truncated }
        }),
        text().prop_map(|payload| AnsweredBy::Datagram { payload }),
    ]
}

/// Scope and flow don't stand in an address's text, and no agent sends them.
fn port_only(address: std::net::SocketAddr) -> std::net::SocketAddr {
    (address.ip(), address.port()).into()
}

fn kind() -> impl Strategy<Value = ControlKind> {
    prop::sample::select(vec![
        ControlKind::SourcePodPath,
        ControlKind::DestinationPodPath,
        ControlKind::NodePath,
        ControlKind::Listener,
        ControlKind::ServicePath,
        ControlKind::ReachedBy,
        ControlKind::Canary,
    ])
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        text().prop_map(|by| Reason::Answered { by }),
        text().prop_map(|summary| Reason::ForeignAnswered { summary }),
        Just(Reason::HandshakeOnly),
        Just(Reason::Dropped),
        observation().prop_map(|seen| Reason::Rejected { seen }),
        text().prop_map(|because| Reason::CauseUnproven { because }),
        text().prop_map(|by| Reason::Connected { by }),
        (text(), text()).prop_map(|(by, meant)| Reason::WrongEndpoint { by, meant }),
        (text(), text()).prop_map(|(with, meant)| Reason::SharedService { with, meant }),
        (text(), text()).prop_map(|(wanted, found)| Reason::OtherAnswer { wanted, found }),
        (kind(), text()).prop_map(|(control, detail)| Reason::PathDown { control, detail }),
        observation().prop_map(|seen| Reason::Blocked { seen }),
        observation().prop_map(|seen| Reason::OtherDenial { wanted: Denial::Drop, seen }),
        any::<usize>().prop_map(|changes| Reason::Flapping { changes }),
        observation().prop_map(|seen| Reason::NothingSeen { seen }),
        (kind(), text()).prop_map(|(control, detail)| Reason::ControlNotUp { control, detail }),
        Just(Reason::NoControls),
        Just(Reason::HandshakeUnproven),
        observation().prop_map(|seen| Reason::Unclear { seen }),
        text().prop_map(|because| Reason::NotSettled { because }),
        text().prop_map(|because| Reason::NotAsked { because }),
    ]
}

fn controls() -> impl Strategy<Value = Controls> {
    let state = prop_oneof![
        Just(ControlState::Up),
        text().prop_map(|detail| ControlState::Down { detail }),
        text().prop_map(|detail| ControlState::Missing { detail }),
    ];
    prop::collection::btree_map(kind(), state, 0..4).prop_map(Controls::from_iter)
}

fn cause() -> impl Strategy<Value = Cause> {
    let kind = prop::sample::select(vec![
        CauseKind::NotEnforced,
        CauseKind::PolicyAllows,
        CauseKind::PolicyDenies,
        CauseKind::CniBlocks,
        CauseKind::BlockedOtherwise,
        CauseKind::Undetermined,
    ]);
    let outcome =
        prop::sample::select(vec![Outcome::Allowed, Outcome::Denied, Outcome::Undetermined]);
    let way = prop::sample::select(vec![policy::Direction::Ingress, policy::Direction::Egress]);
    let isolation = (text(), way.clone(), vec(text(), 0..2))
        .prop_map(|(pod, direction, policies)| Isolation { pod, direction, policies });
    let action = prop::sample::select(vec![Action::Accept, Action::Deny, Action::Pass]);
    let rule = (text(), way, any::<u16>(), text(), action).prop_map(
        |(policy, direction, index, path, action)| SpecRule {
            policy,
            direction,
            index,
            path,
            action,
        },
    );
    let lists = (vec(isolation, 0..2), vec(rule, 0..2), vec(text(), 0..2), vec(text(), 0..2));
    (kind, outcome, text(), lists).prop_map(|(kind, outcome, because, lists)| {
        let (isolated, rules, nearest, doubts) = lists;
        Cause { kind, spec: Spec { outcome, because, isolated, rules, nearest, doubts } }
    })
}

fn outcome() -> impl Strategy<Value = CaseOutcome> {
    let verdict = prop::sample::select(vec![
        Verdict::Pass,
        Verdict::NotRun,
        Verdict::Inconclusive,
        Verdict::Fail,
    ]);
    let judgement = (verdict, reason()).prop_map(|(verdict, reason)| Judgement { verdict, reason });
    let change = (any::<u32>(), duration(), observation()).prop_map(|(round, at, seen)| Change {
        round,
        at,
        seen,
    });
    let times = (option::of(duration()), option::of(duration()), duration(), any::<bool>());
    let judged = (judgement, option::of(cause()));
    (judged, option::of(observation()), controls(), vec(change, 0..3), times, text()).prop_map(
        |((judgement, cause), seen, controls, history, times, source)| CaseOutcome {
            judgement,
            cause,
            seen,
            controls,
            history,
            latency: times.0,
            latency_error: times.1,
            took: times.2,
            proves_nothing: times.3,
            endpoints: Endpoints {
                destination: source.clone(),
                labels: [("source".to_owned(), source.clone())].into(),
                source,
                seen_as: times.3.then(|| "fd00:172:18::2".parse().expect("an address")),
            },
        },
    )
}

fn case_info() -> impl Strategy<Value = CaseInfo> {
    (text(), option::of(text()), 1..=u16::MAX).prop_map(|(name, because, number)| CaseInfo {
        step: "base".to_owned(),
        id: CaseId(name.clone()),
        suite: name.clone(),
        from: name.clone(),
        to: name.clone(),
        port_label: name.clone(),
        port: Port { number, protocol: Protocol::Http },
        family: Family::Ipv6,
        expect: Connectivity::Blocked,
        moment: Default::default(),
        because,
        location: name.clone(),
        name,
    })
}

fn canary() -> impl Strategy<Value = Canary> {
    let state = prop_oneof![
        duration().prop_map(|latency| CanaryState::Proven { latency }),
        duration().prop_map(|tried| CanaryState::StillOpen { tried }),
        observation().prop_map(|seen| CanaryState::NeverReached { seen }),
        observation().prop_map(|seen| CanaryState::Lost { seen }),
    ];
    (text(), state).prop_map(|(node, state)| Canary {
        node,
        direction: Direction::Egress,
        transport: IpProtocol::Udp,
        family: Family::Ipv4,
        state,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let started = (any::<u32>(), 0..4_000_000_000i64, vec(case_info(), 0..3), text()).prop_map(
        |(bits, second, cases, name)| Event::RunStarted {
            version: VERSION,
            run: RunId::from_random(bits),
            netproof: name.clone(),
            started: Timestamp::from_second(second).unwrap(),
            cluster: ClusterInfo {
                context: name.clone(),
                server: name.clone(),
                version: name.clone(),
                nodes: vec![name],
            },
            cases,
            filtered_out: 3,
            repetition: (bits % 2 == 0)
                .then_some(Repetition { number: 2, of: (bits % 4 == 0).then_some(bits) }),
        },
    );
    prop_oneof![
        started,
        (option::of(text()), any::<usize>()).prop_map(|(suite, done)| Event::Progress {
            stage: Stage::Ready,
            suite,
            done,
            total: 7,
        }),
        (text(), option::of(text()))
            .prop_map(|(message, remedy)| Event::Warning { message, remedy }),
        canary().prop_map(|canary| Event::Canary { canary }),
        (text(), any::<bool>()).prop_map(|(suite, counted)| Event::Round {
            step: suite.clone(),
            suite,
            number: 2,
            as_expected: 1,
            total: 3,
            counted,
        }),
        (text(), outcome()).prop_map(|(id, outcome)| Event::CaseJudged {
            id: CaseId(id),
            outcome: Box::new(outcome),
        }),
        Just(Event::Interrupted { by: Interruption::FailFast }),
        (text(), option::of(text()), any::<bool>())
            .prop_map(|(message, remedy, touched)| { Event::Aborted { message, remedy, touched } }),
        (any::<usize>(), vec(text(), 0..3), any::<bool>())
            .prop_map(|(removed, left, kept)| Event::Swept { removed, left, kept }),
        any::<bool>().prop_map(|complete| Event::RunFinished { complete }),
    ]
}

proptest! {
    #[test]
    fn records_read_back_equal(at in 0..u64::MAX, event in event()) {
        let record = Record { at, event };
        let line = serde_json::to_string(&record).unwrap();
        prop_assert!(!line.contains('\n'), "one record is one line: {line}");
        let read = serde_json::from_str::<Record>(&line)
            .map_err(|error| TestCaseError::fail(format!("{error}: {line}")))?;
        prop_assert_eq!(read, record, "{}", line);
    }
}

#[test]
fn times_are_milliseconds_by_their_names() {
    let record = Record {
        at: 1_500,
        event: Event::Canary {
            canary: Canary {
                node: "node-1".to_owned(),
                direction: Direction::Ingress,
                transport: IpProtocol::Tcp,
                family: Family::Ipv4,
                state: CanaryState::Proven { latency: Duration::from_micros(12_345) },
            },
        },
    };
    insta::assert_snapshot!(serde_json::to_string(&record).unwrap(), @r#"{"atMs":1500,"type":"canary","canary":{"node":"node-1","direction":"Ingress","transport":"TCP","family":"ipv4","state":{"type":"proven","latencyMs":12.345}}}"#);
}
