//! The streams of a SPDY connection: two for each forwarded connection, one for its data
//! and one for what went wrong, held together by the number of the request.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    Forwarder,
    copy::{Client, ToClient, forward},
};
use crate::sandbox::api::spdy::{Headers, Stream, StreamWriter};

const PORT: &str = "port";
const TYPE: &str = "streamType";
const REQUEST: &str = "requestID";
const DATA: &str = "data";
const ERROR: &str = "error";

/// How long the second stream of a pair may take, as of the kubelet.
const SECOND_WITHIN: Duration = Duration::from_secs(30);

/// Whether a stream is one of a pair.
pub(super) fn accepts(headers: &Headers) -> bool {
    port(headers) > 0 && matches!(headers.text(TYPE), DATA | ERROR)
}

fn port(headers: &Headers) -> u16 {
    headers.text(PORT).parse().unwrap_or(0)
}

/// Clients of old days number no requests: they open the stream for errors just before the
/// other.
fn request(stream: &Stream) -> String {
    match (stream.headers.text(REQUEST), stream.headers.text(TYPE)) {
        ("", DATA) => stream.id.saturating_sub(2).to_string(),
        ("", _) => stream.id.to_string(),
        (request, _) => request.to_owned(),
    }
}

struct Half {
    stream: Stream,
    until: Instant,
}

/// Forwards a connection for each pair, until no more streams come.
pub(super) async fn run(forwarder: Forwarder, mut opened: mpsc::Receiver<Stream>) {
    let mut halves = HashMap::<String, Half>::new();
    // They end with this future.
    let mut connections = JoinSet::new();
    loop {
        let late = async {
            match halves.values().map(|half| half.until).min() {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let stream = tokio::select! {
            stream = opened.recv() => match stream {
                Some(stream) => stream,
                None => return,
            },
            Some(_) = connections.join_next() => continue,
            () = late => {
                let now = Instant::now();
                for (request, half) in halves.extract_if(|_, half| half.until <= now) {
                    let text = format!("(request={request}) timed out waiting for streams");
                    connections.spawn(complain(half.stream, text));
                }
                continue;
            }
        };
        let request = request(&stream);
        match halves.remove(&request) {
            None => {
                let until = Instant::now() + SECOND_WITHIN;
                halves.insert(request, Half { stream, until });
            }
            Some(half) if half.stream.headers.text(TYPE) == stream.headers.text(TYPE) => {
                let kind = stream.headers.text(TYPE);
                let text = format!(
                    "error processing stream for request {request}: {kind} stream already assigned"
                );
                if kind == ERROR {
                    // The pair that was there has ended with this.
                    connections.spawn(complain(half.stream, text));
                } else {
                    halves.insert(request, half);
                }
            }
            Some(half) => {
                let is_data = stream.headers.text(TYPE) == DATA;
                let (data, error) =
                    if is_data { (stream, half.stream) } else { (half.stream, stream) };
                connections.spawn(connect(forwarder.clone(), data, error));
            }
        }
    }
}

/// Says something on a stream for errors.
async fn complain(stream: Stream, text: String) {
    if stream.headers.text(TYPE) == ERROR && stream.writer.write(text.as_bytes()).await.is_none() {
        return;
    }
    // A connection that is gone needs no end.
    let _ = stream.writer.end().await;
}

async fn connect(forwarder: Forwarder, data: Stream, error: Stream) {
    let port = port(&data.headers);
    let given_up = data.given_up.clone();
    let mut data = Data(data);
    let result = tokio::select! {
        result = forward(&forwarder, port, &mut data) => result,
        () = given_up.cancelled() => Ok(()),
    };
    // The one for errors first: who reads the data to its end looks there next.
    complain(error, result.err().unwrap_or_default()).await;
    let _ = data.0.writer.end().await;
}

struct Data(Stream);

impl Client for Data {
    async fn read(&mut self) -> Option<Bytes> {
        self.0.reader.recv().await
    }

    fn writer(&self) -> impl ToClient + 'static {
        self.0.writer.clone()
    }
}

impl ToClient for StreamWriter {
    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        StreamWriter::write(self, bytes).await
    }

    async fn end(&mut self) -> Option<()> {
        StreamWriter::end(self).await
    }
}
