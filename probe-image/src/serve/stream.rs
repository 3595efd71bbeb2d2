//! Accepting streams, and the answer to a question that is one line.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{Answerer, CONNECTION_DEADLINE, CONNECTIONS, tls};
use crate::question::KeyedQuestion;

/// Longer than any question.
const QUESTION_LIMIT: usize = 256;

/// How long to wait where the kernel gives no connection for want of memory or files.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// Accepts until it is dropped, as many at a time as [`CONNECTIONS`], each for `limit` at
/// most.
pub async fn serve<H, F>(listener: TcpListener, limit: Duration, handle: H)
where
    H: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    // The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let answer = timeout(limit, handle(stream, peer));
                connections.spawn(async move {
                    // Whoever hung up or was too slow gets no answer.
                    let _ = answer.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(EXHAUSTED).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one line, or closes the connection; below TLS, if that is how it begins.
pub async fn answer(
    answerer: Arc<Answerer>,
    stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    match tls::begins(&stream).await {
        Some(true) => match tls::accept(&answerer, stream).await {
            Some(stream) => lines(answerer, stream, peer).await,
            None => Ok(()),
        },
        Some(false) => lines(answerer, stream, peer).await,
        None => Ok(()),
    }
}

/// Answers one line. Where the question wants the connection held, goes on to answer lines
/// until it ends.
pub async fn lines<S: AsyncRead + AsyncWrite + Unpin>(
    answerer: Arc<Answerer>,
    mut stream: S,
    peer: SocketAddr,
) -> io::Result<()> {
    let first = timeout(CONNECTION_DEADLINE, held_question(&answerer, &mut stream));
    let Ok(mut asked) = first.await else { return Ok(()) };
    loop {
        match asked? {
            Some((question, true)) => write(&answerer, &question, &mut stream, peer).await?,
            Some((question, false)) => return say(&answerer, &question, &mut stream, peer).await,
            None => return Ok(()),
        }
        asked = held_question(&answerer, &mut stream).await;
    }
}

/// Reads a question; `None` if it isn't one of this run's.
pub async fn question(
    answerer: &Answerer,
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<KeyedQuestion>> {
    Ok(held_question(answerer, stream).await?.map(|(question, _)| question))
}

/// The same, and whether the connection is to stay open.
async fn held_question(
    answerer: &Answerer,
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(KeyedQuestion, bool)>> {
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < QUESTION_LIMIT {
        if stream.read_buf(&mut line).await? == 0 {
            return Ok(None);
        }
    }
    let asked = KeyedQuestion::parse_line(&line);
    Ok(asked.filter(|(question, _)| answerer.key.asked(question)))
}

/// Writes the answer and ends the stream.
pub async fn say(
    answerer: &Answerer,
    question: &KeyedQuestion,
    stream: &mut (impl AsyncWrite + Unpin),
    peer: SocketAddr,
) -> io::Result<()> {
    write(answerer, question, stream, peer).await?;
    stream.shutdown().await
}

async fn write(
    answerer: &Answerer,
    question: &KeyedQuestion,
    stream: &mut (impl AsyncWrite + Unpin),
    peer: SocketAddr,
) -> io::Result<()> {
    let mut answer = answerer.key.answer(question.nonce, &answerer.identity, peer).json();
    answer.push('\n');
    stream.write_all(answer.as_bytes()).await
}
