//! The listening agent as a process: its ports, its silence towards strangers, its end.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::Stdio,
};

use netproof_probe::question::{DATAGRAM_LENGTH, Key, KeyedAnswer};
use support::{DEADLINE, Serve, agent, key, nonce};

fn talk(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn strangers_get_nothing() {
    let serve = Serve::start(&key(), &["0/tcp", "0/http", "0/udp"], &[]);
    let question = Key::from_bytes([9; 32]).question(nonce());
    assert_eq!(talk(serve.ports[0], &question.line()), "", "another key");
    assert_eq!(talk(serve.ports[0], "hello\n"), "", "no question");
    let answer = talk(serve.ports[1], "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");

    // The one question that is answered was asked last: the others got nothing.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, serve.ports[2])).unwrap();
    let short = key().question(nonce()).line();
    let good = key().question(nonce());
    for datagram in [b"hello".to_vec(), question.datagram(), short.into(), good.datagram()] {
        socket.send(&datagram).unwrap();
    }
    let mut bytes = [0; 2_048];
    let length = socket.recv(&mut bytes).unwrap();
    assert!(length <= DATAGRAM_LENGTH);
    let answer = KeyedAnswer::parse(&bytes[..length]).unwrap();
    assert!(key().answered(good.nonce, &answer), "a short question would multiply traffic");
}

#[test]
fn an_idle_agent_ends_itself() {
    let (text, status) = Serve::start(&key(), &["0/tcp"], &["--idle-limit", "300ms"]).rest();
    assert_eq!(text, "shop/web ends: no heartbeat for 300ms\n");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn signals_end_an_agent_at_once() {
    for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGINT] {
        let serve = Serve::start(&key(), &["0/tcp"], &["--idle-limit", "0"]);
        let pid = nix::unistd::Pid::from_raw(serve.process.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        assert_eq!(serve.process.exit().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let listen = format!("main={}/tcp", taken.local_addr().unwrap().port());
    let key = key().to_string();
    let output = agent(&["serve", "--identity", "a", "--control-port", "0", "--key", &key])
        .args(["--listen", &listen])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "netproof-probe: listen on {listen} (another process of the pod listens there: choose another port): Address already in use (os error 98)\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn one_port_cannot_be_asked_for_twice() {
    let key = key().to_string();
    let output = agent(&["serve", "--identity", "a", "--key", &key])
        .args(["--listen", "80/tcp", "--listen", "80/http"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "netproof-probe: --listen 80/http: the port is taken by another listener or by the control port\n"
    );
}

#[test]
fn the_control_port_takes_the_kubelets_probe() {
    let serve = Serve::start(&key(), &[], &[]);
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, serve.control)).unwrap());
    let question = key().question(nonce());
    let answer = talk(serve.control, &question.line());
    let answer = KeyedAnswer::parse(answer.trim_end().as_bytes()).unwrap();
    assert!(key().answered(question.nonce, &answer), "and is itself still there");
}

#[test]
fn help_teaches() {
    for (arguments, words) in [
        (vec!["--help"], vec!["serve", "dial", "answers nobody who doesn't know the run's key"]),
        (vec!["serve", "--help"], vec!["--idle-limit", "[NAME=]PORT/PROTOCOL", "Example:"]),
        (vec!["dial", "--help"], vec!["--silence-limit", r#""type":"open""#]),
    ] {
        let output = agent(&arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "{arguments:?} says {word}: {text}");
        }
    }
    assert_eq!(agent(&["sing"]).stderr(Stdio::null()).status().unwrap().code(), Some(2));
}
