//! Dials over UDP: only an answer proves anything.

use std::{io, os::fd::AsRawFd, sync::Arc};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;
use tokio::{io::Interest, net::UdpSocket};

use super::{
    Call, Dialer, Said, Saying,
    failure::Failure,
    race::{Flight, Race},
    summary::summary,
};
use crate::{
    question::KeyedAnswer,
    wire::{Answer, Dial},
};

/// Longer than an agent's answer; of a foreign one the first bytes are enough.
const BUFFER: usize = 2_048;

/// Dials one address.
pub async fn dial(dialer: &Dialer, call: &Call) -> Dial {
    let (datagram, dns) = say(call);
    let datagram: Arc<[u8]> = datagram.into();
    let fly = move |socket| exchange(socket, datagram.clone());
    let mut race = Race::new(dialer, call, true, fly);
    let mut said: Option<Said> = None;
    // What is no agent's gets one more chance, from any of the attempts.
    while let Some((_, reply)) = race.next().await {
        let answer = Said::Answer(judge(call, dns.as_ref(), &reply));
        let again = said.is_some();
        let best = match said.take() {
            Some(before) => before.or(answer),
            None => answer,
        };
        let settled = again || best.is_agent() || matches!(call.saying, Saying::Bare);
        said = Some(best);
        if settled {
            break;
        }
    }
    if said.is_some() {
        race.abandon();
    }
    race.end_with(said.map(Said::outcome))
}

/// What to send, and the DNS question if it is one.
fn say(call: &Call) -> (Vec<u8>, Option<Message>) {
    match &call.saying {
        Saying::Keyed(key, nonce) => (key.question(*nonce).datagram(), None),
        Saying::Bare if call.address.port() == 53 => {
            let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
            message.metadata.recursion_desired = true;
            message.add_query(Query::query(Name::root(), RecordType::NS));
            match message.to_vec() {
                Ok(bytes) => (bytes, Some(message)),
                Err(_) => (vec![b'\n'], None),
            }
        }
        Saying::Bare => (vec![b'\n'], None),
    }
}

fn judge(call: &Call, dns: Option<&Message>, reply: &[u8]) -> Answer {
    if let Saying::Keyed(key, nonce) = &call.saying {
        let answer = KeyedAnswer::parse(reply).filter(|answer| key.answered(*nonce, answer));
        if let Some(KeyedAnswer { identity, saw, .. }) = answer {
            return Answer::Agent { identity, saw };
        }
    }
    let summary = match dns.zip(Message::from_vec(reply).ok()) {
        Some((asked, told)) if answers(asked, &told) => {
            format!("DNS {}, {} answers", told.metadata.response_code, told.answers.len())
        }
        _ => summary(reply),
    };
    Answer::Application { status: None, summary }
}

/// Whether this is the DNS answer to that question.
fn answers(asked: &Message, told: &Message) -> bool {
    told.metadata.id == asked.metadata.id
        && told.metadata.message_type == MessageType::Response
        && (told.queries == asked.queries || told.queries.is_empty())
}

/// Sends, and waits for an answer or an ICMP error.
fn exchange(socket: Socket, datagram: Arc<[u8]>) -> Flight<Vec<u8>> {
    Box::pin(async move {
        let errno = |error| Failure::from_errno(&error);
        socket.send(&datagram).map_err(errno)?;
        let socket = UdpSocket::from_std(socket.into()).map_err(errno)?;
        loop {
            // Readiness to read alone would miss an ICMP error.
            let ready = socket.ready(Interest::READABLE | Interest::ERROR).await.map_err(errno)?;
            let interest = if ready.is_error() { Interest::ERROR } else { Interest::READABLE };
            match socket.try_io(interest, || receive(&socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Failure::read(&socket, &error)),
                Ok(reply) => return Ok(reply),
            }
        }
    })
}

fn receive(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; BUFFER];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
    buffer.truncate(length);
    Ok(buffer)
}
