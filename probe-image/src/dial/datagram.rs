//! Dials over UDP: only an answer proves anything.

use std::{io, os::fd::AsRawFd, sync::Arc};

use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;
use tokio::{io::Interest, net::UdpSocket};

use super::{
    Call, Dialer, Said, Saying,
    dns::{self, Asked},
    failure::Failure,
    race::{Flight, Race},
    summary::summary,
};
use crate::{
    question::KeyedAnswer,
    source_port::Transport,
    wire::{Answer, Dial, hex},
};

/// Longer than an agent's answer; of a foreign one the first bytes are enough.
const BUFFER: usize = 2_048;

/// Dials one address.
pub async fn dial(dialer: &Dialer, call: &Call) -> Dial {
    let (datagram, dns) = say(call);
    let datagram: Arc<[u8]> = datagram.into();
    let fly = move |socket| exchange(socket, datagram.clone());
    let mut race = Race::new(dialer, call, Transport::Udp, fly);
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
fn say(call: &Call) -> (Vec<u8>, Option<Asked>) {
    let script = &call.script;
    let dns = match (&call.saying, &script.dns) {
        (_, Some(question)) => Asked::scripted(question).ok(),
        (Saying::Bare, None) if call.address.port() == 53 && script.payload.is_none() => {
            Some(Asked::root())
        }
        _ => None,
    };
    if let Some(bytes) = dns.as_ref().and_then(Asked::bytes) {
        return (bytes, dns);
    }
    match &call.saying {
        Saying::Keyed(key, nonce) => (key.question(*nonce).datagram(), None),
        // What isn't hex was refused by `check`.
        Saying::Bare => match &script.payload {
            Some(payload) => (hex::decode(payload).unwrap_or_default(), None),
            None => (vec![b'\n'], None),
        },
    }
}

fn judge(call: &Call, dns: Option<&Asked>, reply: &[u8]) -> Answer {
    if let Saying::Keyed(key, nonce) = &call.saying {
        let answer = KeyedAnswer::parse(reply).filter(|answer| key.answered(*nonce, answer));
        if let Some(KeyedAnswer { identity, saw, .. }) = answer {
            return Answer::Agent { identity, saw };
        }
    }
    if let Some(answer) = dns.and_then(|asked| asked.answer(reply)) {
        return match answer {
            Answer::Dns { code, records, .. } if call.script.dns.is_none() => Answer::Application {
                status: None,
                summary: format!("DNS {code}, {} answers", records.len()),
            },
            answer => answer,
        };
    }
    if call.script.payload.is_some() {
        let payload = hex::encode(reply.get(..dns::LONGEST_SHOWN).unwrap_or(reply));
        return Answer::Datagram { payload };
    }
    Answer::Application { status: None, summary: summary(reply) }
}

/// Sends, and waits for an answer or an ICMP error.
pub(super) fn exchange(socket: Socket, datagram: Arc<[u8]>) -> Flight<Vec<u8>> {
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
