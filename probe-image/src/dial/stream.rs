//! Dials over TCP: the handshake decides, then the question has its own wait.

use std::{io, time::Duration};

use socket2::Socket;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    Call, Dialer, Said, Saying, dns,
    failure::Failure,
    http,
    race::{Flight, Race},
    summary::summary,
    tls,
};
use crate::{
    question::{Key, KeyedAnswer, Nonce},
    source_port::Transport,
    wire::{Answer, AttemptOutcome, Dial, Protocol},
};

/// How long a foreign server may take to greet.
const BANNER: Duration = Duration::from_millis(150);

/// Longer than any answer.
const ANSWER_LIMIT: usize = 1_024;

/// A handshake that was completed.
enum Shaken {
    Open(TcpStream),
    /// It was reset before anybody looked.
    Reset,
}

/// Dials one address.
pub async fn dial(dialer: &Dialer, call: &Call) -> Dial {
    let transport = match call.protocol {
        Protocol::Sctp => Transport::Sctp,
        _ => Transport::Tcp,
    };
    let mut race = Race::new(dialer, call, transport, handshake);
    let Some(landed) = race.next().await else { return race.end_with(None) };
    race.abandon();
    let mut said = hear(call, &mut race, landed).await;
    // Who says nothing of use may be a proxy that was not ready, or a stale backend.
    let disappointing = match &call.saying {
        Saying::Keyed(..) => !said.is_agent(),
        Saying::Bare => said == Said::Reset,
    };
    if disappointing && let Some(landed) = race.once_more().await {
        said = said.or(hear(call, &mut race, landed).await);
    }
    race.end_with(Some(said.outcome()))
}

async fn hear<F>(
    call: &Call,
    race: &mut Race<'_, Shaken, F>,
    (index, shaken): (usize, Shaken),
) -> Said
where
    F: Fn(Socket) -> Flight<Shaken>,
{
    let said = match shaken {
        Shaken::Open(stream) => converse(call, stream).await,
        Shaken::Reset => Said::Reset,
    };
    if said == Said::Reset {
        race.reset(index);
    }
    said
}

/// Waits for the handshake.
fn handshake(socket: Socket) -> Flight<Shaken> {
    Box::pin(async move {
        let errno = |error| Failure::from_errno(&error);
        let stream = TcpStream::from_std(socket.into()).map_err(errno)?;
        stream.writable().await.map_err(errno)?;
        match stream.take_error().map_err(errno)? {
            None => Ok(Shaken::Open(stream)),
            // A reset that answers the SYN is told apart by the kernel.
            Some(error) => match Failure::read(&stream, &error) {
                Failure::Reset => Ok(Shaken::Reset),
                failure => Err(failure),
            },
        }
    })
}

async fn converse(call: &Call, stream: TcpStream) -> Said {
    let Some(tls) = &call.script.tls else { return speak(call, stream).await };
    let http = call.protocol == Protocol::Http;
    match timeout(call.reply, tls::agree(tls, &call.host, http, stream)).await {
        Ok(Ok(stream)) => {
            let version = stream.get_ref().1.protocol_version();
            let version = version.and_then(|version| version.as_str()).unwrap_or("TLS").to_owned();
            match speak(call, stream).await {
                Said::Answer(Answer::HandshakeOnly) => Said::Answer(Answer::Tls { version }),
                said => said,
            }
        }
        Ok(Err(said)) => said,
        Err(_) => {
            let message = format!("nothing was said within {} ms", call.reply.as_millis());
            Said::Answer(Answer::TlsFailed { message })
        }
    }
}

async fn speak<S>(call: &Call, mut stream: S) -> Said
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match (call.protocol, &call.script.dns, &call.saying) {
        (Protocol::Http, ..) => http::converse(call, stream).await,
        (_, Some(question), _) => {
            let answer = timeout(call.reply, dns::converse(question, &mut stream)).await;
            answer.unwrap_or(Said::Answer(Answer::HandshakeOnly))
        }
        (_, None, Saying::Keyed(key, nonce)) => ask(stream, key, *nonce, call.reply).await,
        (_, None, Saying::Bare) => listen(stream, BANNER.min(call.reply)).await,
    }
}

/// Asks an agent's question.
async fn ask<S>(mut stream: S, key: &Key, nonce: Nonce, reply: Duration) -> Said
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut bytes = Vec::new();
    let line = key.question(nonce).line();
    let exchange = async {
        stream.write_all(line.as_bytes()).await?;
        read_line(&mut stream, &mut bytes).await
    };
    let result = timeout(reply, exchange).await;
    let agent = KeyedAnswer::parse(&bytes).filter(|answer| key.answered(nonce, answer));
    match agent {
        Some(KeyedAnswer { identity, saw, .. }) => Said::Answer(Answer::Agent { identity, saw }),
        None => other(&bytes, result.unwrap_or(Ok(()))),
    }
}

/// Waits for a foreign server's greeting.
async fn listen<S: AsyncRead + Unpin>(mut stream: S, wait: Duration) -> Said {
    let mut bytes = Vec::new();
    let result = timeout(wait, read_line(&mut stream, &mut bytes)).await;
    other(&bytes, result.unwrap_or(Ok(())))
}

/// Reads until the end of a line, of the stream, or of all reason.
async fn read_line<S>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()>
where
    S: AsyncRead + Unpin,
{
    while !bytes.contains(&b'\n') && bytes.len() < ANSWER_LIMIT {
        if stream.read_buf(bytes).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// What was said on a connection that no agent answered.
fn other(bytes: &[u8], result: io::Result<()>) -> Said {
    match result {
        _ if !bytes.is_empty() => {
            Said::Answer(Answer::Application { status: None, summary: summary(bytes) })
        }
        Err(error) => broken(&error),
        Ok(()) => Said::Answer(Answer::HandshakeOnly),
    }
}

/// What an error after the handshake means.
pub fn broken(error: &io::Error) -> Said {
    match Failure::from_errno(error).attempt() {
        AttemptOutcome::Reset | AttemptOutcome::Refused => Said::Reset,
        _ => Said::Answer(Answer::HandshakeOnly),
    }
}
