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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;
    use crate::{
        arguments::Serve,
        question::{Key, Nonce},
        serve,
    };

    async fn say(control: SocketAddr, line: &str) {
        let mut stream = TcpStream::connect(control).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn only_a_keyed_question_is_a_heartbeat() {
        let key = Key::from_bytes([1; 32]);
        let arguments = Serve {
            identity: "a".into(),
            key: key.clone(),
            listen: Vec::new(),
            control_port: 0,
            idle_limit: Duration::ZERO,
            startup: None,
        };
        let mut serving = serve::start(&arguments).unwrap();
        let started = *serving.heartbeat.borrow_and_update();
        let nonce = Nonce::from_bytes([1; 16]);
        for (line, what) in [
            ("\n".to_owned(), "the kubelet"),
            (Key::from_bytes([2; 32]).question(nonce).line(), "another run"),
        ] {
            say(serving.control, &line).await;
            assert!(!serving.heartbeat.has_changed().unwrap(), "{what}");
        }
        say(serving.control, &key.question(nonce).line()).await;
        let beat = timeout(Duration::from_secs(30), serving.heartbeat.changed()).await;
        beat.expect("a heartbeat within 30 s").unwrap();
        assert!(*serving.heartbeat.borrow() >= started);
    }
}
