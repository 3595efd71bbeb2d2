//! The control port: a handshake for the kubelet, a keyed line for heartbeats.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpStream, sync::watch, time::Instant};

use super::{Answerer, stream};

/// Answers as every listener does; a question from this pod itself is a heartbeat.
pub async fn answer(
    answerer: Arc<Answerer>,
    heartbeat: watch::Sender<Instant>,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    let Some(question) = stream::question(&answerer, &mut stream).await? else { return Ok(()) };
    if peer.ip().is_loopback() {
        heartbeat.send_replace(Instant::now());
    }
    stream::say(&answerer, &question, &mut stream, peer).await
}
