//! What carries a SPDY connection: an upgraded HTTP connection, or the binary messages of
//! a websocket.

use std::future::ready;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, sync::mpsc};
use tokio_util::io::ReaderStream;

use super::{Forwarder, pairs};
use crate::sandbox::api::spdy;

/// Frames that wait to be sent.
const WAITING: usize = 64;
/// Streams that wait to be paired.
const OPENED: usize = 16;

pub(super) async fn plain(connection: Upgraded, forwarder: Forwarder) {
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
    run(incoming, outgoing, sending, forwarder).await;
}

pub(super) async fn websocket(socket: WebSocket, forwarder: Forwarder) {
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
    run(incoming, outgoing, sending, forwarder).await;
}

async fn run(
    incoming: impl Stream<Item = Bytes>,
    outgoing: mpsc::Sender<Bytes>,
    sending: impl Future<Output = ()>,
    forwarder: Forwarder,
) {
    let (opened, streams) = mpsc::channel(OPENED);
    let session = async {
        let (ended, ()) = tokio::join!(
            spdy::serve(incoming, outgoing, pairs::accepts, opened),
            pairs::run(forwarder, streams),
        );
        ended
    };
    let mut sending = std::pin::pin!(sending);
    let ended = tokio::select! {
        ended = session => ended,
        () = &mut sending => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a forwarding connection");
    }
    // What is still to be said, as long as somebody takes it.
    sending.await;
}
