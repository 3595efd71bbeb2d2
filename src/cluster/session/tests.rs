//! The session against agents of this file's own making, over pipes in memory.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use futures::future::BoxFuture;
use netproof_probe::wire::{
    self, Attempt, AttemptOutcome, Dial, Outcome, Protocol, Question, Request, Response, Timing,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    link::{ConnectFailure, Streams},
    *,
};

/// Long enough for a loaded machine; nothing waits for it but what goes wrong.
const LONG: Duration = Duration::from_secs(30);

/// An agent's ends of its streams.
struct Agent {
    input: tokio::io::Lines<BufReader<DuplexStream>>,
    output: DuplexStream,
    errors: DuplexStream,
    heard: UnboundedSender<Request>,
}

impl Agent {
    /// The next line; none once the session is gone.
    async fn hear(&mut self) -> Option<Request> {
        let line = self.input.next_line().await.ok()??;
        let request: Request = serde_json::from_str(&line).unwrap();
        let _ = self.heard.send(request.clone());
        Some(request)
    }

    async fn say(&mut self, response: &Response) {
        let mut line = serde_json::to_vec(response).unwrap();
        line.push(b'\n');
        let _ = self.output.write_all(&line).await;
    }

    /// Takes the open and says hello.
    async fn greet(&mut self) {
        assert!(matches!(self.hear().await, None | Some(Request::Open { .. })));
        let agent = "0.0.0".to_owned();
        self.say(&Response::Hello { version: wire::VERSION, agent, clock: 5 }).await;
    }

    /// The next batch; heartbeats before it are answered.
    async fn batch(&mut self) -> Option<(u64, Vec<Probe>)> {
        loop {
            match self.hear().await? {
                Request::Batch { batch, probes, .. } => return Some((batch, probes)),
                Request::Heartbeat { sequence } => {
                    self.say(&Response::Heartbeat { sequence, clock: 7 }).await;
                }
                Request::Open { .. } | Request::Cancel { .. } => {}
            }
        }
    }

    /// Answers everything, as a good agent does.
    async fn serve(mut self) {
        self.greet().await;
        while let Some((batch, probes)) = self.batch().await {
            for probe in probes.into_iter().rev() {
                self.say(&Response::Result { batch, result: result(probe.id) }).await;
            }
            self.say(&Response::BatchDone { batch }).await;
        }
    }
}

type Life = Box<dyn FnOnce(Agent) -> BoxFuture<'static, ()> + Send>;

/// Connects to the next agent of a list; when that is used up, to none.
struct Agents {
    lives: Mutex<VecDeque<Result<Life, ConnectFailure>>>,
    heard: UnboundedSender<Request>,
    buffer: usize,
}

impl Connect for Agents {
    async fn connect(&self) -> Result<Streams, ConnectFailure> {
        let life = self.lives.lock().unwrap().pop_front();
        let refused =
            || Err(ConnectFailure { detail: "no agent".into(), remedy: None, lasting: false });
        let life = life.unwrap_or_else(refused)?;
        let (input, at_agent) = tokio::io::duplex(self.buffer);
        let (output, from_agent) = tokio::io::duplex(self.buffer);
        let (errors, words) = tokio::io::duplex(self.buffer);
        let agent = Agent {
            input: BufReader::new(at_agent).lines(),
            output: from_agent,
            errors: words,
            heard: self.heard.clone(),
        };
        let task = tokio::spawn(life(agent));
        Ok(Streams {
            input: Box::new(input),
            output: Box::new(output),
            errors: Box::new(errors),
            ended: Box::pin(std::future::ready(None)),
            guard: Box::new(tokio_util::task::AbortOnDropHandle::new(task)),
        })
    }
}

fn life<F: Future<Output = ()> + Send + 'static>(
    life: impl FnOnce(Agent) -> F + Send + 'static,
) -> Result<Life, ConnectFailure> {
    Ok(Box::new(move |agent| Box::pin(life(agent))))
}

/// Heartbeats at every turn, and all the time in the world for their answers.
fn quick() -> Patience {
    Patience {
        opening: LONG,
        idle: Duration::from_millis(50),
        busy: Duration::from_millis(20),
        answer: LONG,
    }
}

/// The same, and soon tired of waiting.
fn impatient() -> Patience {
    Patience { answer: Duration::from_secs(1), ..quick() }
}

fn session(
    patience: Patience,
    buffer: usize,
    lives: Vec<Result<Life, ConnectFailure>>,
) -> (Session, UnboundedReceiver<Request>) {
    let (heard, hearing) = unbounded_channel();
    let agents = Agents { lives: Mutex::new(lives.into()), heard, buffer };
    let target = Target {
        pod: "shop/np-abcdef-web-0".into(),
        key: "00".into(),
        image: "netproof-probe:test".into(),
    };
    (Session::start(target, agents, patience, CancellationToken::new()), hearing)
}

fn probe(id: u64) -> Probe {
    Probe {
        id,
        target: wire::Target::Address(IpAddr::from([10, 0, 0, 7])),
        family: None,
        port: 8080,
        protocol: Protocol::Tcp,
        question: Question::Keyed { nonce: format!("{id:032x}") },
        script: Default::default(),
        timing: Timing::default(),
    }
}

fn result(id: u64) -> ProbeResult {
    let attempt = Attempt { at: id, took: 1, port: 20_000, outcome: AttemptOutcome::TimedOut };
    let dial = Dial {
        address: IpAddr::from([10, 0, 0, 7]),
        outcome: Outcome::TimedOut,
        attempts: vec![attempt; 10],
    };
    ProbeResult { id, started: id, elapsed: 1, resolution: None, dials: vec![dial] }
}

fn soon() -> Instant {
    Instant::now() + LONG
}

fn ids(outcome: &BatchOutcome) -> Vec<u64> {
    let mut ids: Vec<u64> = outcome.results.keys().copied().collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_batch_is_answered_in_any_order() {
    let (session, _) = session(quick(), 4096, vec![life(Agent::serve)]);
    session.opened(soon()).await.unwrap();
    let outcome = session.batch((1..=3).map(probe).collect(), Some(10), soon()).await;
    assert_eq!((ids(&outcome), outcome.error), (vec![1, 2, 3], None));
    assert_eq!(session.remade(), 0);
    assert!(session.clock().is_some(), "the hello tells the agent's clock");
}

#[tokio::test]
async fn an_empty_batch_needs_no_agent() {
    let (session, _) = session(quick(), 4096, vec![]);
    let outcome = session.batch(Vec::new(), None, soon()).await;
    assert!(outcome.error.is_none() && outcome.results.is_empty());
}

#[tokio::test]
async fn probes_in_flight_are_asked_again_with_fresh_nonces_when_the_session_is_lost() {
    let answers_one = life(async |mut agent: Agent| {
        agent.greet().await;
        let (batch, _) = agent.batch().await.unwrap();
        agent.say(&Response::Result { batch, result: result(2) }).await;
    });
    let (session, mut heard) = session(quick(), 4096, vec![answers_one, life(Agent::serve)]);
    let outcome = session.batch((1..=3).map(probe).collect(), None, soon()).await;
    assert_eq!((ids(&outcome), outcome.error), (vec![1, 2, 3], None));
    assert_eq!(session.remade(), 1);

    let mut batches = Vec::new();
    while let Ok(request) = heard.try_recv() {
        if let Request::Batch { batch, probes, .. } = request {
            batches.push((batch, probes));
        }
    }
    let [(first, asked), (second, again)] = &batches[..] else { panic!("{batches:?}") };
    assert_ne!(first, second, "an old link's answer must not fit the new one's batch");
    let numbers: Vec<u64> = again.iter().map(|probe| probe.id).collect();
    assert_eq!(numbers, [1, 3], "what was answered is not asked again");
    for probe in again {
        assert!(!asked.iter().any(|old| old.question == probe.question), "{probe:?}");
    }
}

#[tokio::test]
async fn another_version_is_an_error_that_names_both_and_the_remedy() {
    let old = life(async |mut agent: Agent| {
        agent.hear().await;
        let hello = Response::Hello { version: 99, agent: "9.9.9".into(), clock: 0 };
        agent.say(&hello).await;
        while agent.hear().await.is_some() {}
    });
    let (session, _) = session(quick(), 4096, vec![old, life(Agent::serve)]);
    let error = session.opened(soon()).await.unwrap_err();
    assert_eq!(error.stage, SessionStage::Version);
    for (what, part) in [
        ("pod", "shop/np-abcdef-web-0"),
        ("its version", "9.9.9 speaks version 99"),
        ("ours", &format!("version {}", netproof_probe::wire::VERSION)),
    ] {
        assert!(error.to_string().contains(part), "{what}: {error}");
    }
    assert!(error.remedy.unwrap().contains("netproof-probe:test"));
    let outcome = session.batch(vec![probe(1)], None, soon()).await;
    assert_eq!(outcome.error.unwrap().stage, SessionStage::Version, "it stays an error");
}

#[tokio::test]
async fn a_batch_whose_session_does_not_come_back_says_why() {
    let dies = life(async |mut agent: Agent| {
        agent.greet().await;
        agent.batch().await;
        let _ = agent.errors.write_all(b"panicked at 'out of sockets'\n").await;
    });
    let (session, _) = session(quick(), 4096, vec![dies]);
    session.opened(soon()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    let asking = session.batch(vec![probe(1)], None, deadline);
    let lost = {
        let mut states = session.shared.state.subscribe();
        async move { states.wait_for(|state| state.error.is_some()).await.unwrap().error.clone() }
    };
    let (outcome, lost) = tokio::join!(asking, lost);
    let lost = lost.unwrap();
    assert_eq!(lost.stage, SessionStage::Lost);
    assert!(lost.detail.ends_with("it said: panicked at 'out of sockets'"), "{lost}");
    let error = outcome.error.unwrap();
    assert_eq!(error.to_string(), "exec into pod shop/np-abcdef-web-0: no agent");
}

#[tokio::test]
async fn a_refused_exec_is_not_tried_again() {
    let refused = Err(ConnectFailure {
        detail: "403 Forbidden".into(),
        remedy: Some("pods/exec".into()),
        lasting: true,
    });
    let (session, _) = session(quick(), 4096, vec![refused, life(Agent::serve)]);
    let error = session.opened(soon()).await.unwrap_err();
    assert_eq!((error.stage, error.remedy.as_deref()), (SessionStage::Exec, Some("pods/exec")));
}

#[tokio::test]
async fn long_batches_and_many_results_do_not_block_each_other() {
    // Pipes that take a fraction of a line, and an agent that reads nothing while it
    // writes.
    let (session, _) = session(quick(), 64, vec![life(Agent::serve)]);
    let batches = (0..4_u64).map(|turn| {
        let session = session.clone();
        async move {
            let first = turn * 1_000;
            let probes = (first..first + 500).map(probe).collect();
            let outcome = session.batch(probes, None, soon()).await;
            assert_eq!(outcome.error, None);
            assert_eq!(ids(&outcome), (first..first + 500).collect::<Vec<_>>());
        }
    });
    futures::future::join_all(batches).await;
    assert_eq!(session.remade(), 0);
}

#[tokio::test]
async fn a_silent_agent_is_lost_and_a_new_session_answers() {
    let silent = life(async |mut agent: Agent| {
        agent.greet().await;
        while agent.hear().await.is_some() {}
    });
    let (session, _) = session(impatient(), 4096, vec![silent, life(Agent::serve)]);
    let outcome = session.batch(vec![probe(1)], None, soon()).await;
    assert_eq!((ids(&outcome), outcome.error), (vec![1], None));
    assert_eq!(session.remade(), 1);
}

#[tokio::test]
async fn what_is_no_answer_ends_the_session() {
    let babbles = life(async |mut agent: Agent| {
        agent.greet().await;
        agent.batch().await;
        let _ = agent.output.write_all(b"exec format error\n").await;
        while agent.hear().await.is_some() {}
    });
    let (session, _) = session(quick(), 4096, vec![babbles, life(Agent::serve)]);
    let outcome = session.batch(vec![probe(1)], None, soon()).await;
    assert_eq!((ids(&outcome), outcome.error), (vec![1], None));
    assert_eq!(session.remade(), 1);
}

#[tokio::test]
async fn an_agents_refusal_ends_the_batch_and_not_the_session() {
    let refuses = life(async |mut agent: Agent| {
        agent.greet().await;
        agent.batch().await;
        agent.say(&Response::Error { message: "no port is left".into() }).await;
    });
    let (session, _) = session(quick(), 4096, vec![refuses, life(Agent::serve)]);
    let error = session.batch(vec![probe(1)], None, soon()).await.error.unwrap();
    assert_eq!(error.to_string(), "the agent in pod shop/np-abcdef-web-0 refuses: no port is left");
    let outcome = session.batch(vec![probe(2)], None, soon()).await;
    assert_eq!((ids(&outcome), outcome.error), (vec![2], None));
}

#[tokio::test]
async fn a_batch_that_ends_without_all_results_is_no_success() {
    let forgets = life(async |mut agent: Agent| {
        agent.greet().await;
        let (batch, _) = agent.batch().await.unwrap();
        agent.say(&Response::Result { batch, result: result(1) }).await;
        agent.say(&Response::BatchDone { batch }).await;
        while agent.hear().await.is_some() {}
    });
    let (session, _) = session(quick(), 4096, vec![forgets]);
    let outcome = session.batch(vec![probe(1), probe(2)], None, soon()).await;
    assert_eq!(ids(&outcome), [1]);
    assert_eq!(outcome.error.unwrap().stage, SessionStage::Agent);
}

#[tokio::test]
async fn a_batch_ends_at_its_deadline_with_what_there_is_and_is_given_up() {
    let half = life(async |mut agent: Agent| {
        agent.greet().await;
        let (batch, _) = agent.batch().await.unwrap();
        agent.say(&Response::Result { batch, result: result(1) }).await;
        agent.batch().await;
    });
    let (session, mut heard) = session(quick(), 4096, vec![half]);
    session.opened(soon()).await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    let outcome = session.batch(vec![probe(1), probe(2)], None, deadline).await;
    assert_eq!(ids(&outcome), [1]);
    assert_eq!(
        outcome.error.unwrap().to_string(),
        "wait for results of pod shop/np-abcdef-web-0: 1 results are missing at the deadline"
    );
    loop {
        let request = tokio::time::timeout(LONG, heard.recv()).await.unwrap().unwrap();
        if matches!(request, Request::Cancel { batch: 1 }) {
            return;
        }
    }
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_is_given_up() {
    let keeps_quiet = life(async |mut agent: Agent| {
        agent.greet().await;
        while agent.batch().await.is_some() {}
    });
    let (session, mut heard) = session(quick(), 4096, vec![keeps_quiet]);
    let asking = session.batch(vec![probe(1)], None, soon());
    let asked = async { while !matches!(heard.recv().await, Some(Request::Batch { .. })) {} };
    tokio::select! {
        _ = asking => panic!("nobody answered"),
        () = asked => {}
    }
    loop {
        let request = tokio::time::timeout(LONG, heard.recv()).await.unwrap().unwrap();
        if matches!(request, Request::Cancel { .. }) {
            return;
        }
    }
}

#[tokio::test]
async fn a_cancelled_run_ends_its_batches() {
    let (heard, _) = unbounded_channel();
    let agents = Agents { lives: Mutex::default(), heard, buffer: 64 };
    let target = Target { pod: "shop/web".into(), key: "00".into(), image: "i".into() };
    let cancel = CancellationToken::new();
    let session = Session::start(target, agents, quick(), cancel.clone());
    let asking = session.batch(vec![probe(1)], None, soon());
    let (outcome, ()) = tokio::join!(asking, async { cancel.cancel() });
    assert_eq!(outcome.error.unwrap().stage, SessionStage::Cancelled);
    let later = session.batch(vec![probe(1)], None, soon()).await;
    assert_eq!(later.error.unwrap().stage, SessionStage::Cancelled);
    assert!(session.opened(soon()).await.is_err());
}

#[tokio::test]
async fn a_slow_line_is_not_a_dead_one() {
    // The batch takes several times as long to read as a heartbeat may take to be answered.
    let slow = life(async |mut agent: Agent| {
        agent.greet().await;
        let mut input = agent.input.into_inner();
        let mut line = Vec::new();
        while !(line.ends_with(b"\n") && line.windows(3).any(|end| end == b"]}\n")) {
            let mut piece = [0; 4_096];
            let read = tokio::io::AsyncReadExt::read(&mut input, &mut piece).await.unwrap();
            line.extend_from_slice(&piece[..read]);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        agent.input = input.lines();
        let text = String::from_utf8(line).unwrap();
        for line in text.lines() {
            match serde_json::from_str(line).unwrap() {
                Request::Batch { batch, probes, .. } => {
                    for probe in probes {
                        agent.say(&Response::Result { batch, result: result(probe.id) }).await;
                    }
                }
                Request::Heartbeat { sequence } => {
                    agent.say(&Response::Heartbeat { sequence, clock: 7 }).await;
                }
                Request::Open { .. } | Request::Cancel { .. } => {}
            }
        }
        while agent.batch().await.is_some() {}
    });
    let (session, _) = session(impatient(), 4_096, vec![slow]);
    let outcome = session.batch((0..400).map(probe).collect(), None, soon()).await;
    assert_eq!((outcome.results.len(), outcome.error), (400, None));
    assert_eq!(session.remade(), 0);
}
