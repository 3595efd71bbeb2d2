//! Connections that outlive their probe: opened before a change, and used after it.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use socket2::Socket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Mutex as Turn,
    time::{Instant, timeout, timeout_at},
};

use super::{Call, Dialer, Said, Saying, failure::Failure, stream};
use crate::{
    clock,
    question::{Key, KeyedAnswer, Nonce},
    source_port::Transport,
    wire::{Answer, Attempt, AttemptOutcome, Dial, Hold, Outcome, Protocol},
};

/// How often a datagram is sent again while no answer comes.
const AGAIN: Duration = Duration::from_millis(100);

/// Longer than any answer.
const BUFFER: usize = 2_048;

/// A connection that is held.
#[derive(Debug)]
struct Connection {
    port: u16,
    link: Turn<Link>,
}

#[derive(Debug)]
enum Link {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

/// The connections that a session holds, by number.
#[derive(Debug, Default)]
pub struct Held(Mutex<HashMap<u64, Arc<Connection>>>);

impl Held {
    fn get(&self, number: u64) -> Option<Arc<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    fn keep(&self, number: u64, connection: Connection) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(number, Arc::new(connection));
    }
}

/// Opens a connection and keeps it, or uses one.
pub async fn dial(dialer: &Dialer, call: &Call) -> Dial {
    let at = clock::now();
    let held = match call.script.hold {
        Some(Hold::Use { connection }) => dialer.held.get(connection),
        Some(Hold::Open { .. }) | None => None,
    };
    let (port, outcome) = match (call.script.hold, held) {
        (Some(Hold::Open { connection }), _) => open(dialer, call, connection).await,
        (_, Some(held)) => {
            let mut link = held.link.lock().await;
            (held.port, ask(&mut link, call).await)
        }
        (_, None) => {
            let message = "the session holds no such connection".to_owned();
            (0, Outcome::Failed { message })
        }
    };
    let attempt = match &outcome {
        Outcome::Connected { .. } => AttemptOutcome::Connected,
        Outcome::Refused => AttemptOutcome::Refused,
        Outcome::Prohibited { .. } => AttemptOutcome::Prohibited,
        Outcome::NoRoute { .. } => AttemptOutcome::NoRoute,
        Outcome::Reset => AttemptOutcome::Reset,
        Outcome::Failed { .. } | Outcome::Unsupported { .. } => AttemptOutcome::Failed,
        Outcome::TimedOut => AttemptOutcome::TimedOut,
    };
    let took = clock::now().saturating_sub(at).max(1);
    let attempts = vec![Attempt { at, took, port, outcome: attempt }];
    Dial { address: call.address.ip(), outcome, attempts }
}

async fn open(dialer: &Dialer, call: &Call, number: u64) -> (u16, Outcome) {
    let udp = call.protocol == Protocol::Udp;
    let transport = if udp { Transport::Udp } else { Transport::Tcp };
    let (port, socket) = dialer.open(call.address, transport);
    let link = match socket {
        Ok(socket) => connect(socket, udp, call.window).await,
        Err(failure) => Err(failure.outcome()),
    };
    let mut link = match link {
        Ok(link) => link,
        Err(outcome) => return (port, outcome),
    };
    let outcome = ask(&mut link, call).await;
    if matches!(outcome, Outcome::Connected { answer: Answer::Agent { .. } }) {
        dialer.held.keep(number, Connection { port, link: Turn::new(link) });
    }
    (port, outcome)
}

async fn connect(socket: Socket, udp: bool, window: Duration) -> Result<Link, Outcome> {
    let errno = |error: io::Error| Failure::from_errno(&error).outcome();
    if udp {
        return Ok(Link::Datagrams(UdpSocket::from_std(socket.into()).map_err(errno)?));
    }
    let stream = TcpStream::from_std(socket.into()).map_err(errno)?;
    match timeout(window, stream.writable()).await {
        Err(_) => return Err(Outcome::TimedOut),
        Ok(ready) => ready.map_err(errno)?,
    }
    match stream.take_error().map_err(errno)? {
        None => Ok(Link::Stream(stream)),
        Some(error) => Err(Failure::read(&stream, &error).outcome()),
    }
}

/// Asks, and waits for the answer until the window's end.
async fn ask(link: &mut Link, call: &Call) -> Outcome {
    let Saying::Keyed(key, nonce) = &call.saying else {
        return Outcome::Failed { message: "only agents are asked on held connections".into() };
    };
    let end = Instant::now() + call.window;
    let asked = match link {
        Link::Stream(stream) => timeout_at(end, by_line(stream, key, *nonce)).await,
        Link::Datagrams(socket) => timeout_at(end, by_datagram(socket, key, *nonce)).await,
    };
    match asked {
        Err(_) => Outcome::TimedOut,
        Ok(Ok(answer)) => Outcome::Connected { answer },
        Ok(Err(error)) => match stream::broken(&error) {
            Said::Reset => Outcome::Reset,
            // The other side has ended it in order, or the kernel gave up.
            Said::Answer(_) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Outcome::Reset,
                io::ErrorKind::TimedOut => Outcome::TimedOut,
                _ => Failure::from_errno(&error).outcome(),
            },
        },
    }
}

async fn by_line(stream: &mut TcpStream, key: &Key, nonce: Nonce) -> io::Result<Answer> {
    stream.write_all(key.question(nonce).held_line().as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            // An answer to an earlier question may come late.
            if let Some(answer) = answer(key, nonce, &line) {
                return Ok(answer);
            }
        }
        if bytes.len() > BUFFER || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn by_datagram(socket: &UdpSocket, key: &Key, nonce: Nonce) -> io::Result<Answer> {
    let question = key.question(nonce).datagram();
    let mut buffer = vec![0; BUFFER];
    loop {
        socket.send(&question).await?;
        let again = Instant::now() + AGAIN;
        while let Ok(received) = timeout_at(again, socket.recv(&mut buffer)).await {
            if let Some(answer) = answer(key, nonce, &buffer[..received?]) {
                return Ok(answer);
            }
        }
    }
}

fn answer(key: &Key, nonce: Nonce, bytes: &[u8]) -> Option<Answer> {
    let answer = KeyedAnswer::parse(bytes).filter(|answer| key.answered(nonce, answer))?;
    Some(Answer::Agent { identity: answer.identity, saw: answer.saw })
}
