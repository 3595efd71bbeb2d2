//! What a dial sees over loopback, for every situation that loopback can produce.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use netproof_probe::{
    question::Key,
    wire::{Answer, AttemptOutcome, Outcome, Probe, Protocol, Target, Timing},
};
use socket2::{Domain, SockRef, Socket, Type};
use support::{DEADLINE, Serve, Session, bare, hasty, key, keyed};

const ALL: [(Protocol, &str); 3] =
    [(Protocol::Tcp, "0/tcp"), (Protocol::Udp, "0/udp"), (Protocol::Http, "0/http")];

/// A server for one test: what it does with each connection.
fn tcp_server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    port
}

fn udp_socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn connected(answer: Answer) -> Outcome {
    Outcome::Connected { answer }
}

fn application(status: Option<u16>, summary: &str) -> Outcome {
    connected(Answer::Application { status, summary: summary.into() })
}

#[test]
fn an_agent_answers_with_its_identity_and_the_address_that_it_saw() {
    let serve = Serve::start(&key(), &ALL.map(|(_, listen)| listen), &[]);
    let mut session = Session::open(&key());
    for ((protocol, listen), port) in ALL.into_iter().zip(serve.ports.clone()) {
        let dial = session.dial(keyed(protocol, port));
        let [attempt] = dial.attempts[..] else { panic!("{listen}: one attempt: {dial:?}") };
        let saw = SocketAddr::from((Ipv4Addr::LOCALHOST, attempt.port));
        let answer = Answer::Agent { identity: "shop/web".into(), saw };
        assert_eq!(dial.outcome, connected(answer), "{listen}");
        assert_eq!(attempt.outcome, AttemptOutcome::Connected, "{listen}");
        assert!(netproof_probe::wire::SOURCE_PORTS.contains(&attempt.port), "{listen}");
    }
}

#[test]
fn a_datagram_is_answered_from_the_address_that_was_asked() {
    let serve = Serve::start(&key(), &["0/udp"], &[]);
    let mut session = Session::open(&key());
    let target = Target::Address([127, 9, 9, 9].into());
    let outcome = session.outcome(Probe { target, ..keyed(Protocol::Udp, serve.ports[0]) });
    let agent = matches!(outcome, Outcome::Connected { answer: Answer::Agent { .. } });
    assert!(agent, "{outcome:?}");
}

#[test]
fn a_listener_takes_both_families() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let serve = Serve::start(&key(), &ALL.map(|(_, listen)| listen), &[]);
    let mut session = Session::open(&key());
    for ((protocol, listen), port) in ALL.into_iter().zip(serve.ports.clone()) {
        let target = Target::Address(Ipv6Addr::LOCALHOST.into());
        let dial = session.dial(Probe { target, ..keyed(protocol, port) });
        let saw = SocketAddr::from((Ipv6Addr::LOCALHOST, dial.attempts[0].port));
        let answer = Answer::Agent { identity: "shop/web".into(), saw };
        assert_eq!(dial.outcome, connected(answer), "{listen}");
    }
}

#[test]
fn an_agent_of_another_run_is_no_agent() {
    let serve = Serve::start(&Key::from_bytes([2; 32]), &ALL.map(|(_, listen)| listen), &[]);
    let mut session = Session::open(&key());
    let expected = [
        connected(Answer::HandshakeOnly),
        Outcome::TimedOut,
        application(Some(404), "HTTP 404 Not Found"),
    ];
    for (((protocol, listen), port), expected) in
        ALL.into_iter().zip(serve.ports.clone()).zip(expected)
    {
        assert_eq!(session.outcome(hasty(keyed(protocol, port))), expected, "{listen}");
    }
}

#[test]
fn a_closed_port_refuses_and_three_refusals_are_enough() {
    let mut session = Session::open(&key());
    for (protocol, listen) in ALL {
        // Nothing listens on a port that was just given back.
        let (socket, port) = udp_socket();
        drop(socket);
        let dial = session.dial(keyed(protocol, port));
        assert_eq!(dial.outcome, Outcome::Refused, "{listen}");
        let outcomes: Vec<_> = dial.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [AttemptOutcome::Refused; 3], "{listen}");
    }
}

#[test]
fn an_echo_server_is_no_agent() {
    let tcp = tcp_server(|mut stream| {
        let mut bytes = [0; 256];
        let length = stream.read(&mut bytes).unwrap_or(0);
        let _ = stream.write_all(&bytes[..length]);
    });
    let (socket, udp) = udp_socket();
    thread::spawn(move || {
        let mut bytes = [0; 1_024];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], peer);
        }
    });
    let mut session = Session::open(&key());
    for (protocol, port) in [(Protocol::Tcp, tcp), (Protocol::Udp, udp)] {
        let outcome = session.outcome(keyed(protocol, port));
        let Outcome::Connected { answer: Answer::Application { status: None, summary } } = outcome
        else {
            panic!("{protocol:?}: {outcome:?}")
        };
        assert!(summary.starts_with("netproof/1 "), "{protocol:?}: {summary}");
    }
}

#[test]
fn any_http_status_is_an_answer_of_an_application() {
    let port = tcp_server(|mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    });
    let mut session = Session::open(&key());
    for probe in [keyed(Protocol::Http, port), bare(Protocol::Http, port)] {
        let expected = application(Some(401), "HTTP 401 Unauthorized");
        assert_eq!(session.outcome(probe.clone()), expected, "{:?}", probe.question);
    }
}

#[test]
fn a_reply_that_is_no_http_is_an_answer_of_an_application() {
    let port = tcp_server(|mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_10\r\n");
    });
    let outcome = Session::open(&key()).outcome(bare(Protocol::Http, port));
    let Outcome::Connected { answer: Answer::Application { status: None, summary } } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(summary.starts_with("no HTTP"), "{summary}");
}

#[test]
fn a_bare_handshake_is_only_a_handshake_until_something_is_said() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = (silent.local_addr().unwrap().port(), silent);
    let greeting = tcp_server(|mut stream| {
        let _ = stream.write_all(b"220 mail\r\n");
    });
    let mut session = Session::open(&key());
    let only = connected(Answer::HandshakeOnly);
    assert_eq!(session.outcome(bare(Protocol::Tcp, silent.0)), only);
    assert_eq!(session.outcome(hasty(keyed(Protocol::Tcp, silent.0))), only);
    assert_eq!(session.outcome(hasty(bare(Protocol::Http, silent.0))), only);
    let application = application(None, "220 mail");
    assert_eq!(session.outcome(bare(Protocol::Tcp, greeting)), application);
}

#[test]
fn a_reset_after_the_handshake_is_told_from_silence_and_refusal() {
    let port = tcp_server(|stream| {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let mut session = Session::open(&key());
    for probe in
        [keyed(Protocol::Tcp, port), bare(Protocol::Tcp, port), keyed(Protocol::Http, port)]
    {
        let dial = session.dial(probe);
        assert_eq!(dial.outcome, Outcome::Reset, "{dial:?}");
        let outcomes: Vec<_> = dial.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [AttemptOutcome::Reset; 2], "one more attempt");
    }
}

#[test]
fn a_reset_gets_one_more_chance() {
    let serve = Serve::start(&key(), &["0/tcp"], &[]);
    let agent = serve.ports[0];
    let first = std::sync::atomic::AtomicBool::new(true);
    let port = tcp_server(move |mut stream| {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            return;
        }
        let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, agent)).unwrap();
        let mut bytes = [0; 256];
        let length = stream.read(&mut bytes).unwrap();
        upstream.write_all(&bytes[..length]).unwrap();
        std::io::copy(&mut upstream, &mut stream).unwrap();
    });
    let dial = Session::open(&key()).dial(keyed(Protocol::Tcp, port));
    let outcomes: Vec<_> = dial.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Reset, AttemptOutcome::Connected]);
    let Outcome::Connected { answer: Answer::Agent { identity, .. } } = dial.outcome else {
        panic!("{dial:?}")
    };
    assert_eq!(identity, "shop/web");
}

#[test]
fn silence_times_out_after_all_attempts() {
    let (_socket, port) = udp_socket();
    let mut session = Session::open(&key());
    for probe in [keyed(Protocol::Udp, port), bare(Protocol::Udp, port)] {
        let dial = session.dial(hasty(probe));
        assert_eq!(dial.outcome, Outcome::TimedOut);
        let outcomes: Vec<_> = dial.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [AttemptOutcome::TimedOut; 4]);
        let ports: std::collections::HashSet<_> =
            dial.attempts.iter().map(|attempt| attempt.port).collect();
        assert_eq!(ports.len(), 4, "each attempt has a port of its own");
    }
}

#[test]
fn lost_handshakes_time_out() {
    // A backlog of one place, which is taken: further handshakes are dropped.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _taken = TcpStream::connect(address).unwrap();
    let dial = Session::open(&key()).dial(hasty(keyed(Protocol::Tcp, address.port())));
    assert_eq!(dial.outcome, Outcome::TimedOut);
    assert_eq!(dial.attempts.len(), 4, "{dial:?}");
}

#[test]
fn one_answered_attempt_of_many_is_an_answer() {
    let serve = Serve::start(&key(), &["0/udp"], &[]);
    let (lossy, port) = udp_socket();
    let agent = (Ipv4Addr::LOCALHOST, serve.ports[0]);
    thread::spawn(move || {
        let mut bytes = [0; 1_024];
        for _ in 0..2 {
            lossy.recv_from(&mut bytes).unwrap();
        }
        let (length, peer) = lossy.recv_from(&mut bytes).unwrap();
        lossy.send_to(&bytes[..length], agent).unwrap();
        // Attempts that come before the answer are lost as well.
        loop {
            let (length, from) = lossy.recv_from(&mut bytes).unwrap();
            if from == SocketAddr::from(agent) {
                lossy.send_to(&bytes[..length], peer).unwrap();
                return lossy;
            }
        }
    });
    let dial = Session::open(&key()).dial(keyed(Protocol::Udp, port));
    assert!(
        matches!(dial.outcome, Outcome::Connected { answer: Answer::Agent { .. } }),
        "{dial:?}"
    );
    let outcomes: Vec<_> = dial.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes[..3].iter().filter(|one| **one == AttemptOutcome::Abandoned).count(), 2);
    assert_eq!(outcomes[2], AttemptOutcome::Connected);
}

#[test]
fn no_local_route_is_no_denial() {
    let target = Target::Address(Ipv4Addr::BROADCAST.into());
    let dial = Session::open(&key()).dial(hasty(Probe { target, ..keyed(Protocol::Tcp, 9) }));
    let Outcome::NoRoute { message } = dial.outcome else { panic!("{dial:?}") };
    assert_eq!(message, "ENETUNREACH: Network is unreachable");
}

#[test]
fn a_local_refusal_is_no_denial() {
    // The kernel sends no broadcast for a socket that hasn't asked for it.
    let target = Target::Address(Ipv4Addr::BROADCAST.into());
    let dial = Session::open(&key()).dial(hasty(Probe { target, ..keyed(Protocol::Udp, 9) }));
    assert!(matches!(dial.outcome, Outcome::Failed { .. } | Outcome::NoRoute { .. }), "{dial:?}");
}

#[test]
fn a_thousand_probes_fit_into_one_batch() {
    let serve = Serve::start(&key(), &ALL.map(|(_, listen)| listen), &[]);
    let mut session = Session::open(&key());
    let (_silent, port) = udp_socket();
    let timing = Timing { window: 1_000, attempts: 5, reply: 20_000 };
    let probes = (0..1_000u16).map(|id| {
        let [high, low] = id.to_be_bytes();
        let target = Target::Address([127, 1, high, low].into());
        let (protocol, _) = ALL[usize::from(id % 3)];
        let port = if id % 10 == 0 { port } else { serve.ports[usize::from(id % 3)] };
        Probe { id: id.into(), target, timing, ..keyed(protocol, port) }
    });
    for result in session.batch(probes.collect()) {
        let outcome = &result.dials[0].outcome;
        let agent = matches!(outcome, Outcome::Connected { answer: Answer::Agent { .. } });
        assert_eq!(agent, result.id % 10 != 0, "{result:?}");
    }
}
