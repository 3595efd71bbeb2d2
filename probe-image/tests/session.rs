//! The protocol of a session, line by line, through the pipes that exec gives it.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use netproof_probe::wire::{
    Outcome, Protocol, Request, Resolution, Response, Target, Timing, VERSION,
};
use support::{Serve, Session, hasty, key, keyed};

fn open() -> Request {
    Request::Open { version: VERSION, key: key().to_string() }
}

fn error(response: Option<Response>) -> String {
    match response {
        Some(Response::Error { message }) => message,
        other => panic!("an error was expected: {other:?}"),
    }
}

#[test]
fn a_session_greets_beats_and_ends_with_its_input() {
    let mut session = Session::open(&key());
    session.say(&Request::Heartbeat { sequence: 7 });
    let first = session.hear();
    let Some(Response::Heartbeat { sequence: 7, clock }) = first else { panic!("{first:?}") };
    session.say(&Request::Heartbeat { sequence: 8 });
    let second = session.hear();
    let Some(Response::Heartbeat { sequence: 8, clock: later }) = second else {
        panic!("{second:?}")
    };
    assert!(later >= clock && clock > 0);
    assert_eq!(session.end().code(), Some(0));
}

#[test]
fn a_session_that_does_not_begin_with_an_open_is_refused() {
    for (line, message) in [
        (r#"{"type":"heartbeat","sequence":1}"#, "the first line must be an open"),
        ("hello", "the first line must be an open: not understood: expected value"),
        (
            r#"{"type":"open","version":99,"key":""}"#,
            "the runner speaks version 99 of the protocol, this agent (0.1.0) version 3",
        ),
        (r#"{"type":"open","version":3,"key":"ab"}"#, "open: a key must be 64 hex digits"),
    ] {
        let mut session = Session::start(&[]);
        session.line(line);
        let said = error(session.hear());
        assert!(said.starts_with(message), "{line}: {said}");
        assert_eq!(session.hear(), None, "{line}");
        assert_eq!(session.process.exit().code(), Some(2), "{line}");
    }
    let session = Session::start(&[]);
    assert_eq!(session.end().code(), Some(2), "no line at all");
}

#[test]
fn a_line_that_is_not_understood_ends_nothing() {
    let mut session = Session::open(&key());
    for (line, message) in [
        ("{", "not understood: "),
        (r#"{"type":"dance"}"#, "not understood: unknown variant `dance`"),
        (&serde_json::to_string(&open()).unwrap(), "the session is open already"),
    ] {
        session.line(line);
        let said = error(session.hear());
        assert!(said.starts_with(message), "{line}: {said}");
    }
    session.say(&Request::Heartbeat { sequence: 1 });
    assert!(matches!(session.hear(), Some(Response::Heartbeat { sequence: 1, .. })));
}

#[test]
fn a_batch_that_cannot_be_made_says_why_and_is_done() {
    let mut session = Session::open(&key());
    let good = keyed(Protocol::Tcp, 80);
    for (probe, message) in [
        (support::bare(Protocol::Tcp, 0), "batch 4: probe 1: port 0"),
        (
            netproof_probe::wire::Probe {
                timing: Timing { attempts: 0, ..Timing::default() },
                ..good.clone()
            },
            "batch 4: probe 1: attempts must be 1 to 100",
        ),
        (
            netproof_probe::wire::Probe {
                timing: Timing { window: u32::MAX, ..Timing::default() },
                ..good.clone()
            },
            "batch 4: probe 1: window and reply must be at most 120000 ms",
        ),
        (
            netproof_probe::wire::Probe {
                question: netproof_probe::wire::Question::Keyed { nonce: "ab".into() },
                ..good.clone()
            },
            "batch 4: probe 1: a nonce must be 32 hex digits",
        ),
    ] {
        session.say(&Request::Batch { batch: 4, rate: None, probes: vec![probe] });
        assert_eq!(error(session.hear()), message);
        assert_eq!(session.hear(), Some(Response::BatchDone { batch: 4 }));
    }
    session.say(&Request::Batch { batch: 5, rate: None, probes: vec![] });
    assert_eq!(session.hear(), Some(Response::BatchDone { batch: 5 }), "an empty batch");
}

#[test]
fn batches_run_beside_each_other_and_can_be_given_up() {
    let serve = Serve::start(&key(), &["0/tcp"], &[]);
    let (silent, port) = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    };
    let mut session = Session::open(&key());
    let mut endless = keyed(Protocol::Udp, port);
    endless.timing = Timing { window: 120_000, attempts: 2, reply: 0 };
    session.say(&Request::Batch { batch: 1, rate: None, probes: vec![endless.clone()] });
    session.say(&Request::Batch { batch: 1, rate: None, probes: vec![endless] });
    assert_eq!(error(session.hear()), "batch 1 is under way already");
    let quick = keyed(Protocol::Tcp, serve.ports[0]);
    session.say(&Request::Batch { batch: 2, rate: Some(1_000), probes: vec![quick] });
    assert!(matches!(session.hear(), Some(Response::Result { batch: 2, .. })));
    assert_eq!(session.hear(), Some(Response::BatchDone { batch: 2 }));
    session.say(&Request::Cancel { batch: 1 });
    assert_eq!(session.hear(), Some(Response::BatchDone { batch: 1 }));
    session.say(&Request::Cancel { batch: 9 });
    session.say(&Request::Heartbeat { sequence: 1 });
    assert!(matches!(session.hear(), Some(Response::Heartbeat { .. })), "no such batch: nothing");
    drop(silent);
}

#[test]
fn the_end_of_input_gives_up_what_is_under_way() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut session = Session::open(&key());
    let mut endless = keyed(Protocol::Udp, socket.local_addr().unwrap().port());
    endless.timing = Timing { window: 120_000, attempts: 2, reply: 0 };
    session.say(&Request::Batch { batch: 1, rate: None, probes: vec![endless] });
    session.say(&Request::Heartbeat { sequence: 1 });
    assert!(matches!(session.hear(), Some(Response::Heartbeat { .. })));
    assert_eq!(session.end().code(), Some(0));
}

#[test]
fn a_rate_delays_and_loses_nothing() {
    let serve = Serve::start(&key(), &["0/tcp"], &[]);
    let mut session = Session::open(&key());
    let probes = (0..50)
        .map(|id| netproof_probe::wire::Probe { id, ..keyed(Protocol::Tcp, serve.ports[0]) })
        .collect();
    session.say(&Request::Batch { batch: 1, rate: Some(500), probes });
    let mut connected = 0;
    loop {
        match session.hear() {
            Some(Response::Result { result, .. }) => {
                assert!(matches!(result.dials[0].outcome, Outcome::Connected { .. }), "{result:?}");
                connected += 1;
            }
            Some(Response::BatchDone { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(connected, 50);
}

#[test]
fn a_name_that_cannot_exist_is_told_apart_from_silence() {
    let mut session = Session::open(&key());
    let probe = netproof_probe::wire::Probe {
        target: Target::Name("no such..name".into()),
        ..hasty(keyed(Protocol::Tcp, 80))
    };
    let result = session.batch(vec![probe]).pop().unwrap();
    let resolution = result.resolution.clone();
    assert!(
        matches!(resolution, Some(Resolution::NoSuchName { .. } | Resolution::Failed { .. })),
        "{result:?}"
    );
    assert!(result.dials.is_empty());
}

#[test]
fn a_silent_runner_is_gone() {
    let mut session = Session::start(&["--silence-limit", "200ms"]);
    session.say(&open());
    assert!(matches!(session.hear(), Some(Response::Hello { .. })));
    assert_eq!(error(session.hear()), "no line for 200ms");
    assert_eq!(session.process.exit().code(), Some(1));
}

#[test]
fn a_line_may_come_in_pieces_and_end_with_the_input() {
    let mut session = Session::open(&key());
    let mut input = session.input.take().unwrap();
    for piece in [r#"{"type":"heart"#, r#"beat","sequ"#, r#"ence":3}"#] {
        input.write_all(piece.as_bytes()).unwrap();
        input.flush().unwrap();
    }
    drop(input);
    assert!(matches!(session.hear(), Some(Response::Heartbeat { sequence: 3, .. })));
    assert_eq!(session.process.exit().code(), Some(0));
}
