//! Sessions with real agents, over a real exec.

use std::time::{Duration, Instant};

use futures::future::join_all;
use netproof::cluster::{AGENT_CONTAINER, Session, SessionStage};
use netproof_probe::wire::{
    Answer, Outcome, Probe, ProbeResult, Protocol, Question, Target, Timing,
};
use tokio_util::sync::CancellationToken;

use crate::lab::{Lab, soon};

fn probe(id: u64, target: std::net::IpAddr, port: u16) -> Probe {
    Probe {
        id,
        target: Target::Address(target),
        family: None,
        port,
        protocol: Protocol::Tcp,
        question: Question::Keyed { nonce: format!("{:032x}", rand::random::<u128>()) },
        script: Default::default(),
        timing: Timing::default(),
    }
}

fn answered_by(result: &ProbeResult) -> Option<&str> {
    match &result.dials.first()?.outcome {
        Outcome::Connected { answer: Answer::Agent { identity, .. } } => Some(identity),
        _ => None,
    }
}

async fn session(lab: &Lab, namespace: &str, name: &str) -> Session {
    let cancel = CancellationToken::new();
    let session = Session::open(&lab.context, namespace, name, AGENT_CONTAINER, cancel);
    session.opened(soon()).await.expect("a session");
    session
}

#[tokio::test]
async fn an_agent_reaches_another_and_tells_when() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    // The second one listens where the control port usually is.
    let (a, mut b) = (
        lab.pod("lab", "a", &[]),
        lab.pod("lab", "b", &[("main", "61000/tcp"), ("low", "80/tcp")]),
    );
    b.node = lab.nodes[1].clone();
    let pods = lab.launch(&[a.clone(), b.clone()]).await;
    let address = pods.state("lab", &b.name).unwrap().addresses[0];

    let session = session(&lab, "lab", &a.name).await;
    let before = Instant::now();
    let probes = vec![probe(1, address, 61_000), probe(2, address, 80), probe(3, address, 81)];
    let outcome = session.batch(probes, None, soon()).await;
    let after = Instant::now();
    assert_eq!(outcome.error, None);
    for id in [1, 2] {
        assert_eq!(answered_by(&outcome.results[&id]), Some(b.name.as_str()), "probe {id}");
    }
    assert_eq!(outcome.results[&3].dials[0].outcome, Outcome::Refused);

    let clock = session.clock().unwrap();
    let began = clock.instant(outcome.results[&1].dials[0].attempts[0].at);
    assert!(clock.error < Duration::from_secs(1), "{:?}", clock.error);
    assert!(began + clock.error >= before && began <= after + clock.error, "{clock:?}");

    // The moved control port is the one that sessions speak to.
    let other = self::session(&lab, "lab", &b.name).await;
    let own = other.batch(vec![probe(1, address, 80)], None, soon()).await;
    assert_eq!(answered_by(&own.results[&1]), Some(b.name.as_str()));
}

#[tokio::test]
async fn a_long_batch_and_many_batches_all_come_back() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    let (a, b) = (lab.pod("lab", "a", &[]), lab.pod("lab", "b", &[("main", "8080/tcp")]));
    let pods = lab.launch(&[a.clone(), b.clone()]).await;
    let address = pods.state("lab", &b.name).unwrap().addresses[0];
    let session = session(&lab, "lab", &a.name).await;

    let long = (0..1_500).map(|id| probe(id, address, 8080)).collect();
    let outcome = session.batch(long, Some(1_000), soon()).await;
    assert_eq!((outcome.results.len(), &outcome.error), (1_500, &None));

    let batches = (0..20).map(|_| {
        let (session, probes) = (session.clone(), (0..5).map(|id| probe(id, address, 8080)));
        let probes = probes.collect();
        async move { session.batch(probes, None, soon()).await }
    });
    for outcome in join_all(batches).await {
        assert_eq!((outcome.results.len(), outcome.error), (5, None));
    }
    assert_eq!(session.remade(), 0);
}

#[tokio::test]
async fn a_pod_that_is_not_there_has_no_session() {
    let lab = Lab::new().await;
    lab.own_namespace("lab").await;
    let cancel = CancellationToken::new();
    let session = Session::open(&lab.context, "lab", "nobody", AGENT_CONTAINER, cancel);
    let error = session.opened(soon()).await.unwrap_err();
    assert_eq!(error.stage, SessionStage::Exec);
    assert_eq!(error.to_string(), "exec into pod lab/nobody: the pod is gone");
}
