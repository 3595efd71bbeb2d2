//! Over SPDY, each channel is a stream that the client opens and whose header
//! `streamType` says which it is.

use std::time::Duration;

use axum::response::Response;
use futures::future::join_all;
use http::request::Parts;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Ending, Streams, To, Work};
use crate::sandbox::api::{
    failure::Failure,
    spdy::{self, Headers, Stream},
};

/// What is spoken, best first. Clients of the first two tell terminal sizes.
const PROTOCOLS: [&str; 4] =
    ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
/// Which stream is which.
const TYPE: &str = "streamType";
/// How long a client may take to open all its streams, as of the kubelet.
const ALL_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn upgrade(
    parts: &mut Parts,
    streams: Streams,
    work: Work,
) -> Result<Response, Failure> {
    let protocol = match spdy::agree(&parts.headers, &PROTOCOLS) {
        Ok(protocol) => protocol,
        Err(refusal) => return Ok(*refusal),
    };
    let sizes = streams.tty && PROTOCOLS[..2].contains(&protocol);
    let ending = if protocol == PROTOCOLS[0] { Ending::Status } else { Ending::Text };
    spdy::upgrade(parts, protocol, accepts, move |opened| async move {
        match timeout(ALL_WITHIN, take(opened, streams, sizes)).await {
            Ok(Some((input, mut output))) => {
                output.ending = ending;
                work((super::Input::Spdy(input), super::Output::Spdy(output))).await;
            }
            Ok(None) => {}
            Err(_) => tracing::debug!("timed out waiting for client to create streams"),
        }
    })
}

fn accepts(headers: &Headers) -> bool {
    matches!(headers.text(TYPE), "error" | "stdin" | "stdout" | "stderr" | "resize")
}

/// Waits for all streams that were announced; `None` if the connection ends before.
async fn take(
    mut opened: mpsc::Receiver<Stream>,
    streams: Streams,
    sizes: bool,
) -> Option<(Input, Output)> {
    let (mut error, mut stdin, mut stdout, mut stderr, mut resize) = (None, None, None, None, None);
    while error.is_none()
        || stdin.is_none() && streams.stdin
        || stdout.is_none() && streams.stdout
        || stderr.is_none() && streams.stderr
        || resize.is_none() && sizes
    {
        let stream = opened.recv().await?;
        let place = match stream.headers.text(TYPE) {
            "error" => &mut error,
            "stdin" => &mut stdin,
            "stdout" => &mut stdout,
            "stderr" => &mut stderr,
            _ => &mut resize,
        };
        *place = Some(stream);
    }
    let error = error?;
    let input = Input { stdin, resize, gone: error.given_up.clone() };
    Some((input, Output { stdout, stderr, error, ending: Ending::Status, _opened: opened }))
}

pub(in crate::sandbox::api) struct Input {
    stdin: Option<Stream>,
    resize: Option<Stream>,
    /// The client has given the session up.
    gone: CancellationToken,
}

impl Input {
    pub(super) async fn pass_on(&mut self, mut stdin: Option<ChildStdin>) {
        // Each is read to its end, for one that isn't holds up the others.
        let input = async {
            if let Some(stream) = &mut self.stdin {
                while let Some(bytes) = stream.reader.recv().await {
                    if let Some(pipe) = &mut stdin
                        && pipe.write_all(&bytes).await.is_err()
                    {
                        // The program doesn't read any more; what it says is still wanted.
                        stdin = None;
                    }
                }
            }
            drop(stdin);
            std::future::pending::<()>().await
        };
        let sizes = async {
            if let Some(stream) = &mut self.resize {
                while stream.reader.recv().await.is_some() {}
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = input => {}
            () = sizes => {}
            () = self.gone.cancelled() => {}
        }
    }
}

pub(in crate::sandbox::api) struct Output {
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    error: Stream,
    ending: Ending,
    /// No more streams are wanted, but the connection goes on.
    _opened: mpsc::Receiver<Stream>,
}

impl Output {
    pub(super) async fn send(&mut self, to: To, bytes: &[u8]) -> Option<()> {
        let stream = match to {
            To::Stdout => &self.stdout,
            To::Stderr => &self.stderr,
        };
        match stream {
            Some(stream) => stream.writer.write(bytes).await,
            None => Some(()),
        }
    }

    /// The end comes first: who has read all the output looks there next.
    pub(super) async fn finish(self, status: &Value) {
        if let Some(said) = self.ending.of(status)
            && self.error.writer.write(said.as_bytes()).await.is_none()
        {
            return;
        }
        let streams = [Some(&self.error), self.stdout.as_ref(), self.stderr.as_ref()];
        join_all(streams.into_iter().flatten().map(|stream| stream.writer.end())).await;
    }
}
