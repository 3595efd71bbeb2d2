//! What carries a SPDY connection: an upgraded HTTP connection, or the binary messages of
//! a websocket; and how the first comes about.

use std::{future::ready, time::Duration};

use axum::{
    body::Body,
    extract::ws::{Message, WebSocket},
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt, Stream as Incoming, StreamExt};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, UPGRADE},
    request::Parts,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};
use tokio_util::io::ReaderStream;

use super::{Headers, PROTOCOL, Stream, serve};
use crate::sandbox::api::failure::Failure;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Frames that wait to be sent.
const WAITING: usize = 64;
/// Streams that wait to be taken.
const OPENED: usize = 16;
/// How long a client may take to close a connection on which all has been said.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// Whether a request wants its connection to become one of SPDY.
pub(in crate::sandbox::api) fn wanted(headers: &HeaderMap) -> bool {
    let wanted = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(PROTOCOL))
}

/// What a client and this side both speak on the streams: the client's first choice. The
/// answer is a refusal where there is none.
pub(in crate::sandbox::api) fn agree(
    headers: &HeaderMap,
    spoken: &[&'static str],
) -> Result<&'static str, Box<Response>> {
    let offered: Vec<_> = headers.get_all(&STREAM_PROTOCOL).iter().collect();
    let offered = offered.iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<_> = offered.flat_map(|all| all.split(',')).map(str::trim).collect();
    let chosen = offered.iter().find_map(|one| spoken.iter().find(|known| *known == one));
    chosen.copied().ok_or_else(|| {
        let (code, text) = if offered.is_empty() {
            let text = "unable to upgrade: X-Stream-Protocol-Version is required".to_owned();
            (StatusCode::BAD_REQUEST, text)
        } else {
            let text = format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{}], server \
                 accepts [{}]",
                offered.join(" "),
                spoken.join(" ")
            );
            (StatusCode::FORBIDDEN, text)
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = code;
        Box::new(response)
    })
}

/// Upgrades a connection, and then serves it: streams that `accepts` takes go to `work`.
///
/// # Errors
/// A request whose connection can't be upgraded.
pub(in crate::sandbox::api) fn upgrade<W: Future<Output = ()> + Send>(
    parts: &mut Parts,
    protocol: &'static str,
    accepts: fn(&Headers) -> bool,
    work: impl FnOnce(mpsc::Receiver<Stream>) -> W + Send + 'static,
) -> Result<Response, Failure> {
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Failure::bad_request("Upgrade request required"))?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => plain(connection, accepts, work).await,
            Err(error) => tracing::debug!(%error, "upgrade to SPDY"),
        }
    });
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    Ok(response)
}

async fn plain<W: Future<Output = ()>>(
    connection: Upgraded,
    accepts: fn(&Headers) -> bool,
    work: impl FnOnce(mpsc::Receiver<Stream>) -> W,
) {
    let (read, mut write) = tokio::io::split(TokioIo::new(connection));
    let incoming = ReaderStream::with_capacity(read, 32 * 1024);
    let incoming = incoming.scan((), |(), bytes| ready(bytes.ok()));
    let (outgoing, mut frames) = mpsc::channel::<Bytes>(WAITING);
    let sending = async {
        while let Some(frame) = frames.recv().await {
            if write.write_all(&frame).await.is_err() || write.flush().await.is_err() {
                return;
            }
        }
        // The client may have closed it before.
        let _ = write.shutdown().await;
    };
    run(incoming, outgoing, sending, accepts, work).await;
}

/// The same over the messages of a websocket.
pub(in crate::sandbox::api) async fn websocket<W: Future<Output = ()>>(
    socket: WebSocket,
    accepts: fn(&Headers) -> bool,
    work: impl FnOnce(mpsc::Receiver<Stream>) -> W,
) {
    let (mut sink, stream) = socket.split();
    let incoming = stream.scan((), |(), message| {
        ready(match message {
            Ok(Message::Binary(bytes)) => Some(bytes),
            Ok(Message::Close(_)) | Err(_) => None,
            // Pings are answered below.
            Ok(_) => Some(Bytes::new()),
        })
    });
    let (outgoing, mut frames) = mpsc::channel::<Bytes>(WAITING);
    let sending = async {
        while let Some(frame) = frames.recv().await {
            if sink.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    run(incoming, outgoing, sending, accepts, work).await;
}

async fn run<W: Future<Output = ()>>(
    incoming: impl Incoming<Item = Bytes>,
    outgoing: mpsc::Sender<Bytes>,
    sending: impl Future<Output = ()>,
    accepts: fn(&Headers) -> bool,
    work: impl FnOnce(mpsc::Receiver<Stream>) -> W,
) {
    let (opened, streams) = mpsc::channel(OPENED);
    let session = async {
        let mut serving = std::pin::pin!(serve(incoming, outgoing, accepts, opened));
        let mut working = std::pin::pin!(work(streams));
        tokio::select! {
            ended = &mut serving => {
                working.await;
                ended
            }
            // A client that hears no end is gone.
            () = &mut working => timeout(CLOSES_WITHIN, serving).await.unwrap_or(Ok(())),
        }
    };
    let mut sending = std::pin::pin!(sending);
    let ended = tokio::select! {
        ended = session => ended,
        () = &mut sending => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a SPDY connection");
    }
    // What is still to be said, as long as somebody takes it.
    sending.await;
}
