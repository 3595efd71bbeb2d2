//! Answers that look like an agent's, and answers that are worth a second question.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    thread,
};

use netproof_probe::wire::{Answer, Outcome, Protocol};
use support::{DEADLINE, Serve, Session, hasty, key, keyed, nonce};

fn agent_of(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Connected { answer: Answer::Agent { identity, .. } } => Some(identity),
        _ => None,
    }
}

#[test]
fn an_answer_to_another_question_is_no_agents() {
    let saw = (Ipv4Addr::LOCALHOST, 20_000).into();
    let said = key().answer(nonce(), "shop/web", saw).json();
    let line = format!("{said}\n").into_bytes();
    let datagram = said.into_bytes();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut question = [0; 4_096];
            let length = stream.read(&mut question).unwrap_or(0);
            if question[..length].starts_with(b"GET ") {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", line.len());
                let _ = stream.write_all(head.as_bytes());
            }
            let _ = stream.write_all(&line);
        }
    });
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let udp = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((_, peer)) = socket.recv_from(&mut [0; 2_048]) {
            let _ = socket.send_to(&datagram, peer);
        }
    });
    let mut session = Session::open(&key());
    for (protocol, port) in [(Protocol::Tcp, tcp), (Protocol::Http, tcp), (Protocol::Udp, udp)] {
        let outcome = session.outcome(hasty(keyed(protocol, port)));
        let application =
            matches!(outcome, Outcome::Connected { answer: Answer::Application { .. } });
        assert!(application && agent_of(&outcome).is_none(), "{protocol:?}: {outcome:?}");
    }
}

#[test]
fn a_strangers_datagram_gets_one_more_chance() {
    let serve = Serve::start(&key(), &["0/udp"], &[]);
    let agent = (Ipv4Addr::LOCALHOST, serve.ports[0]);
    let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = front.local_addr().unwrap().port();
    thread::spawn(move || {
        let behind = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        behind.set_read_timeout(Some(DEADLINE)).unwrap();
        let (mut first, mut bytes) = (true, [0; 2_048]);
        while let Ok((length, peer)) = front.recv_from(&mut bytes) {
            if std::mem::take(&mut first) {
                let _ = front.send_to(b"not ready", peer);
                continue;
            }
            behind.send_to(&bytes[..length], agent).unwrap();
            let length = behind.recv(&mut bytes).unwrap();
            let _ = front.send_to(&bytes[..length], peer);
        }
    });
    let outcome = Session::open(&key()).outcome(keyed(Protocol::Udp, port));
    assert_eq!(agent_of(&outcome), Some("shop/web"), "{outcome:?}");
}
