//! Ports over websocket channels: of the port at place N of the query, 2N carries its data
//! and 2N+1 what went wrong. Each begins with the port's number, the lower byte first.

use std::num::IntErrorKind;

use axum::extract::ws::{Message, WebSocket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt, future::join_all};
use tokio::sync::mpsc;

use super::{
    Forwarder,
    copy::{Client, ToClient, forward},
};
use crate::sandbox::api::request::Parameters;

/// Messages that wait to be sent, and pieces that wait for a pod.
const WAITING: usize = 16;

/// The ports that a query names.
pub(super) fn ports(parameters: &Parameters) -> Result<Vec<u16>, String> {
    let texts = parameters.all("ports");
    if texts.is_empty() {
        return Err("query parameter \"port\" is required".to_owned());
    }
    let mut ports = Vec::new();
    for one in texts.iter().flat_map(|text| text.split(',')) {
        match one.parse::<u16>() {
            Ok(0) => return Err(format!("port \"{one}\" must be > 0")),
            Ok(port) => ports.push(port),
            Err(error) => {
                let why = match error.kind() {
                    IntErrorKind::PosOverflow => "value out of range",
                    _ => "invalid syntax",
                };
                return Err(format!(
                    "cannot convert to []int32: strconv.ParseUint: parsing \"{one}\": {why}"
                ));
            }
        }
    }
    // A channel's number is a byte.
    if ports.len() > 127 {
        return Err("at most 127 ports can be forwarded at once".to_owned());
    }
    Ok(ports)
}

pub(super) async fn run(socket: WebSocket, forwarder: Forwarder, ports: Vec<u16>) {
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut messages) = mpsc::channel::<Bytes>(WAITING);
    let (mut inputs, mut connections) = (Vec::new(), Vec::new());
    for (channel, &port) in (0_u8..).step_by(2).zip(&ports) {
        let (input, reader) = mpsc::channel::<Bytes>(WAITING);
        inputs.push(input);
        let data = Channel { reader, writer: Writer { channel, outgoing: outgoing.clone() } };
        let errors = Writer { channel: channel + 1, outgoing: outgoing.clone() };
        connections.push(connect(&forwarder, port, data, errors));
    }
    drop(outgoing);
    let reading = async {
        while let Some(Ok(message)) = stream.next().await {
            let data = match message {
                Message::Binary(data) => data,
                Message::Close(_) => return,
                _ => continue,
            };
            let Some(&channel) = data.first() else { continue };
            // Nobody sends on the channels for errors, and 255 says nothing here.
            let input = (channel % 2 == 0).then(|| inputs.get(usize::from(channel / 2)));
            if let Some(Some(input)) = input {
                // A connection that is over takes nothing more.
                let _ = input.send(data.slice(1..)).await;
            }
        }
    };
    let sending = async {
        while let Some(message) = messages.recv().await {
            if sink.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let working = async {
        join_all(connections).await;
    };
    tokio::select! {
        () = reading => {}
        // The sender ends after the last connection.
        ((), ()) = async { tokio::join!(working, sending) } => {}
    }
}

async fn connect(forwarder: &Forwarder, port: u16, mut data: Channel, mut errors: Writer) {
    let number = port.to_le_bytes();
    if data.writer.write(&number).await.is_none() || errors.write(&number).await.is_none() {
        return;
    }
    if let Err(text) = forward(forwarder, port, &mut data).await {
        // A client that is gone hears nothing.
        let _ = errors.write(text.as_bytes()).await;
    }
}

struct Channel {
    reader: mpsc::Receiver<Bytes>,
    writer: Writer,
}

#[derive(Clone)]
struct Writer {
    channel: u8,
    outgoing: mpsc::Sender<Bytes>,
}

impl Client for Channel {
    async fn read(&mut self) -> Option<Bytes> {
        self.reader.recv().await
    }

    fn writer(&self) -> impl ToClient + 'static {
        self.writer.clone()
    }
}

impl ToClient for Writer {
    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        let mut message = BytesMut::with_capacity(1 + bytes.len());
        message.put_u8(self.channel);
        message.extend_from_slice(bytes);
        self.outgoing.send(message.freeze()).await.ok()
    }

    /// One channel can't end before the others.
    async fn end(&mut self) -> Option<()> {
        Some(())
    }
}
