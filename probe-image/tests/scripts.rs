//! What is said beyond the usual: DNS, datagrams of one's own, TLS; and what isn't there.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use netproof_probe::wire::{
    Answer, DnsQuestion, Outcome, Probe, Protocol, Response, Script, Target, Tls, Truncated,
};
use socket2::{Domain, Socket, Type};
use support::{Serve, Session, bare, hasty, key, keyed};

fn connected(answer: Answer) -> Outcome {
    Outcome::Connected { answer }
}

fn dns(name: &str) -> Script {
    let question = DnsQuestion { name: name.into(), kind: "A".into() };
    Script { dns: Some(question), ..Script::default() }
}

fn tcp_server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    port
}

fn udp_server(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut bytes = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&answer(&bytes[..length]), peer);
        }
    });
    port
}

/// The same question as a response: that the name doesn't exist.
fn nxdomain(question: &[u8]) -> Vec<u8> {
    let mut response = question.to_vec();
    response[2] |= 0x80;
    response[3] = (response[3] & 0xf0) | 3;
    response
}

#[test]
fn an_answer_that_there_is_no_such_name_is_an_answer() {
    let expected =
        connected(Answer::Dns { code: "NXDOMAIN".into(), records: Vec::new(), truncated: None });
    let udp = udp_server(nxdomain);
    let tcp = tcp_server(|mut stream| {
        let answer = nxdomain(&over_tcp(&mut stream));
        let _ = stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes());
        let _ = stream.write_all(&answer);
    });
    let mut session = Session::open(&key());
    for (protocol, port) in [(Protocol::Udp, udp), (Protocol::Tcp, tcp)] {
        let probe = Probe { script: dns("no.such.name"), ..bare(protocol, port) };
        assert_eq!(session.outcome(probe), expected, "{protocol:?}");
    }
}

/// A question over TCP, and the stream to answer it on.
fn over_tcp(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question).unwrap();
    question
}

/// The same question as a response that was cut short.
fn cut_short(question: &[u8]) -> Vec<u8> {
    let mut response = question.to_vec();
    response[2] |= 0x82;
    response
}

#[test]
fn an_answer_that_was_cut_short_is_asked_for_over_tcp() {
    // One port for both, as name servers have it.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&cut_short(&bytes[..length]), peer);
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = nxdomain(&over_tcp(&mut stream));
            let _ = stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes());
            let _ = stream.write_all(&answer);
        }
    });
    let probe = Probe { script: dns("large.example"), ..bare(Protocol::Udp, port) };
    let expected = Answer::Dns {
        code: "NXDOMAIN".into(),
        records: Vec::new(),
        truncated: Some(Truncated::OverTcp),
    };
    assert_eq!(Session::open(&key()).outcome(probe), connected(expected));

    // Nobody listens for TCP there.
    let udp = udp_server(cut_short);
    let probe = Probe { script: dns("large.example"), ..bare(Protocol::Udp, udp) };
    let expected = Answer::Dns {
        code: "NOERROR".into(),
        records: Vec::new(),
        truncated: Some(Truncated::NoTcp { message: "refused".into() }),
    };
    assert_eq!(Session::open(&key()).outcome(probe), connected(expected));
}

#[test]
fn what_is_no_dns_is_an_application_all_the_same() {
    let udp = udp_server(<[u8]>::to_vec);
    let probe = Probe { script: dns("a.example"), ..bare(Protocol::Udp, udp) };
    let outcome = Session::open(&key()).outcome(probe);
    let application = matches!(outcome, Outcome::Connected { answer: Answer::Application { .. } });
    assert!(application, "{outcome:?}");
}

#[test]
fn a_datagram_of_ones_own_is_answered_by_bytes() {
    let port = udp_server(|asked| [&b"re:"[..], asked].concat());
    let script = Script { payload: Some("00ff".into()), ..Script::default() };
    let outcome = Session::open(&key()).outcome(Probe { script, ..bare(Protocol::Udp, port) });
    assert_eq!(outcome, connected(Answer::Datagram { payload: "72653a00ff".into() }));
}

#[test]
fn a_connection_without_tls_is_a_connection() {
    let plain = tcp_server(|mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closing = tcp_server(|mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
    });
    let script = Script {
        tls: Some(Tls { server_name: Some("a.example".into()), verify: true, ca: None }),
        ..Script::default()
    };
    let mut session = Session::open(&key());
    for (port, what) in
        [(plain, "plain"), (silent.local_addr().unwrap().port(), "silent"), (closing, "closing")]
    {
        for protocol in [Protocol::Tcp, Protocol::Http] {
            let probe = hasty(Probe { script: script.clone(), ..bare(protocol, port) });
            let outcome = session.outcome(probe);
            let failed =
                matches!(&outcome, Outcome::Connected { answer: Answer::TlsFailed { .. } });
            assert!(failed, "{what} {protocol:?}: {outcome:?}");
        }
    }
    let refused = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let outcome = session.outcome(Probe { script, ..bare(Protocol::Tcp, refused) });
    assert_eq!(outcome, Outcome::Refused, "nobody listens");
}

#[test]
fn an_agent_speaks_tls_to_whoever_begins_with_it() {
    let serving = Serve::start(&key(), &["0/tcp", "0/http"], &[]);
    let tls = |verify| Script {
        tls: Some(Tls { server_name: Some("a.example".into()), verify, ca: None }),
        ..Script::default()
    };
    let mut session = Session::open(&key());
    for (protocol, port) in [(Protocol::Tcp, serving.ports[0]), (Protocol::Http, serving.ports[1])]
    {
        let probe = Probe { script: tls(false), ..keyed(protocol, port) };
        let outcome = session.outcome(probe);
        let agent = matches!(&outcome, Outcome::Connected { answer: Answer::Agent { .. } });
        assert!(agent, "{protocol:?}: {outcome:?}");
        // Nobody believes its certificate, and without TLS it answers as ever.
        let outcome = session.outcome(Probe { script: tls(true), ..keyed(protocol, port) });
        let failed = matches!(&outcome, Outcome::Connected { answer: Answer::TlsFailed { .. } });
        assert!(failed, "{protocol:?}: {outcome:?}");
        let outcome = session.outcome(keyed(protocol, port));
        let agent = matches!(&outcome, Outcome::Connected { answer: Answer::Agent { .. } });
        assert!(agent, "{protocol:?}: {outcome:?}");
    }
}

#[test]
fn a_ping_is_echoed_or_not_allowed() {
    let mut session = Session::open(&key());
    for (target, domain, protocol) in [
        (Ipv4Addr::LOCALHOST.into(), Domain::IPV4, socket2::Protocol::ICMPV4),
        (Ipv6Addr::LOCALHOST.into(), Domain::IPV6, socket2::Protocol::ICMPV6),
    ] {
        let allowed = Socket::new(domain, Type::DGRAM, Some(protocol)).is_ok();
        let probe = Probe { target: Target::Address(target), ..keyed(Protocol::Icmp, 0) };
        let outcome = session.outcome(probe);
        match outcome {
            Outcome::Connected { answer: Answer::Echo } => assert!(allowed),
            Outcome::Unsupported { message } => {
                assert!(!allowed && message.contains("ping_group_range"), "{message}");
            }
            other => panic!("{target}: {other:?}"),
        }
    }
}

#[test]
fn what_the_kernel_lacks_is_said_at_once() {
    let there = Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::SCTP)).is_ok();
    let dial = Session::open(&key()).dial(keyed(Protocol::Sctp, 9));
    match dial.outcome {
        Outcome::Refused => assert!(there),
        Outcome::Unsupported { message } => {
            assert!(!there && message.contains("SCTP"), "{message}");
            assert_eq!(dial.attempts.len(), 1, "no second try");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_said_is_refused_before_anything_is_dialled() {
    let mut session = Session::open(&key());
    let scripts = [
        (dns("a..b"), "is no name"),
        (Script { payload: Some("0".into()), ..Script::default() }, "no hex"),
        (Script { payload: Some("00".repeat(2_000)), ..Script::default() }, "longer than"),
        (
            Script {
                tls: Some(Tls { server_name: None, verify: true, ca: Some("x".into()) }),
                ..Script::default()
            },
            "no certificate",
        ),
    ];
    let mut probes =
        scripts.map(|(script, what)| (Probe { script, ..bare(Protocol::Udp, 9) }, what)).to_vec();
    probes.push((bare(Protocol::Icmp, 9), "no ports"));
    for (probe, what) in probes {
        session.say(&netproof_probe::wire::Request::Batch {
            batch: 3,
            rate: None,
            probes: vec![probe],
        });
        let Some(Response::Error { message }) = session.hear() else { panic!("{what}") };
        assert!(message.contains(what), "{message}");
        assert_eq!(session.hear(), Some(Response::BatchDone { batch: 3 }));
    }
}
