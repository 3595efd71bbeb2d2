//! Over websockets, each message begins with its channel: 0 standard input, 1 output,
//! 2 errors, 3 the end, 4 terminal sizes (ignored), and in v5 255, which closes the
//! channel named by the next byte. In the forms in base64 the channel is a digit.

use std::time::Duration;

use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::ChildStdin};

use super::{Ending, Streams, To, Work};
use crate::sandbox::api::failure::Failure;

/// What is spoken, best first. A client that names nothing speaks the fourth.
const PROTOCOLS: [&str; 5] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];

/// How long a client may take until it reads.
const READS_WITHIN: Duration = Duration::from_millis(250);
/// How long a client that reads may take until it has made its streams.
const STREAMS_WITHIN: Duration = Duration::from_millis(5);
/// So many messages are kept of a client that doesn't read yet.
const EARLY: usize = 64;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;

pub(super) fn upgrade(
    upgrade: WebSocketUpgrade,
    streams: Streams,
    work: Work,
) -> Result<Response, Failure> {
    let named = upgrade.requested_protocols().next().is_some();
    let upgrade = upgrade.protocols(PROTOCOLS);
    let protocol = upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok());
    let protocol = match protocol {
        Some(protocol) => protocol.to_owned(),
        None if named => {
            let text = format!("unable to upgrade: {} are spoken here", PROTOCOLS.join(", "));
            return Err(Failure::bad_request(&text));
        }
        None => "channel.k8s.io".to_owned(),
    };
    let text = protocol.contains("base64");
    let ending = if protocol.starts_with('v') { Ending::Status } else { Ending::Text };
    Ok(upgrade.on_upgrade(move |socket| async move {
        let (mut sink, mut stream) = socket.split();
        let early = until_it_reads(&mut sink, &mut stream).await.into_iter();
        let input = Input { early, stream, text };
        let output = Output { sink, text, ending, streams };
        work((super::Input::Websocket(input), super::Output::Websocket(output))).await;
    }))
}

/// Waits until the client reads, and gives what it has said by then. kubectl before 1.33 reads
/// before it has made its streams, and drops what comes in between: nobody could tell it of
/// that, so that the rest is time.
async fn until_it_reads(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
) -> Vec<Message> {
    let mut early = Vec::new();
    if sink.send(Message::Ping(Bytes::new())).await.is_ok() {
        let answered = async {
            while early.len() < EARLY
                && let Some(Ok(message)) = stream.next().await
                && !matches!(message, Message::Pong(_))
            {
                early.push(message);
            }
        };
        // Nobody has to answer; then nothing is known of when it reads.
        let _ = tokio::time::timeout(READS_WITHIN, answered).await;
        tokio::time::sleep(STREAMS_WITHIN).await;
    }
    early
}

pub(in crate::sandbox::api) struct Input {
    /// What came before the stream was read.
    early: std::vec::IntoIter<Message>,
    stream: SplitStream<WebSocket>,
    text: bool,
}

impl Input {
    async fn next(&mut self) -> Option<Message> {
        match self.early.next() {
            Some(message) => Some(message),
            None => self.stream.next().await?.ok(),
        }
    }

    pub(super) async fn pass_on(&mut self, mut stdin: Option<ChildStdin>) {
        while let Some(message) = self.next().await {
            let data = match message {
                Message::Binary(data) if !self.text => data,
                Message::Text(text) if self.text => match decode(&text) {
                    Some(data) => data,
                    None => continue,
                },
                Message::Close(_) => return,
                _ => continue,
            };
            match data.split_first() {
                Some((&STDIN, data)) if !data.is_empty() => {
                    if let Some(pipe) = &mut stdin
                        && pipe.write_all(data).await.is_err()
                    {
                        // The program doesn't read any more; what it says is still wanted.
                        stdin = None;
                    }
                }
                Some((&CLOSE, [STDIN])) => stdin = None,
                _ => {}
            }
        }
    }
}

/// A digit, and the rest in base64.
fn decode(text: &str) -> Option<Bytes> {
    let digit = text.chars().next()?.to_digit(10)?;
    let mut data = vec![u8::try_from(digit).ok()?];
    STANDARD.decode_vec(&text[1..], &mut data).ok()?;
    Some(data.into())
}

fn encode(channel: u8, data: &[u8]) -> String {
    format!("{channel}{}", STANDARD.encode(data))
}

pub(in crate::sandbox::api) struct Output {
    sink: SplitSink<WebSocket, Message>,
    text: bool,
    ending: Ending,
    streams: Streams,
}

impl Output {
    pub(super) async fn send(&mut self, to: To, data: &[u8]) -> Option<()> {
        match to {
            To::Stdout if self.streams.stdout => self.put(STDOUT, data).await,
            To::Stderr if self.streams.stderr => self.put(STDERR, data).await,
            _ => Some(()),
        }
    }

    async fn put(&mut self, channel: u8, data: &[u8]) -> Option<()> {
        let message = if self.text {
            Message::Text(encode(channel, data).into())
        } else {
            let mut message = Vec::with_capacity(data.len() + 1);
            message.push(channel);
            message.extend_from_slice(data);
            Message::Binary(message.into())
        };
        self.sink.send(message).await.ok()
    }

    pub(super) async fn finish(mut self, status: &Value) {
        if let Some(said) = self.ending.of(status)
            && self.put(ERROR, said.as_bytes()).await.is_none()
        {
            return;
        }
        let close = Message::Close(Some(CloseFrame { code: 1000, reason: "".into() }));
        let _ = self.sink.send(close).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_carries_any_bytes() {
        assert_eq!(encode(1, b"\xff\n"), "1/wo=");
        for (text, expected) in [
            ("0aGk=", Some(&b"\0hi"[..])),
            ("4", Some(b"\x04")),
            ("", None),
            ("x", None),
            ("0a", None),
            ("\u{663}aGk=", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }
}
