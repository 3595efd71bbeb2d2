//! A client that takes part in a container's streams: `exec` and `attach` over websockets
//! and over SPDY. What differs between the ways and their versions ends here.

mod by_spdy;
mod by_websocket;

use std::time::Duration;

use axum::response::Response;
use futures::future::BoxFuture;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::process::ChildStdin;

use super::{failure::Failure, object::Object, request::Parameters, session, spdy};

/// How long a client may take to read the end.
const DRAIN: Duration = Duration::from_secs(2);

/// Which streams a client takes part in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    tty: bool,
}

impl Streams {
    /// What a request asks for. A terminal has one output.
    ///
    /// # Errors
    /// None at all.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Failure> {
        let tty = parameters.flag("tty");
        let streams = Self {
            stdin: parameters.flag("stdin"),
            stdout: parameters.flag("stdout"),
            stderr: parameters.flag("stderr") && !tty,
            tty,
        };
        if streams.stdin || streams.stdout || streams.stderr {
            return Ok(streams);
        }
        Err(Failure::bad_request("you must specify at least 1 of stdin, stdout, stderr"))
    }
}

/// Where something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

/// How the end is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// As a `Status`.
    Status,
    /// As the text of a failure; a success says nothing. So it was before version 4.
    Text,
}

impl Ending {
    /// What is sent on the channel for errors.
    fn of(self, status: &Value) -> Option<String> {
        match self {
            Self::Status => Some(status.to_string()),
            Self::Text if status.text("/status") == "Success" => None,
            Self::Text => Some(status.text("/message").to_owned()),
        }
    }
}

/// What a client sends.
pub(super) enum Input {
    Websocket(by_websocket::Input),
    Spdy(by_spdy::Input),
}

impl Input {
    /// Passes on what the client sends, or drops it, until the client is gone.
    pub(super) async fn pass_on(&mut self, stdin: Option<ChildStdin>) {
        match self {
            Self::Websocket(input) => input.pass_on(stdin).await,
            Self::Spdy(input) => input.pass_on(stdin).await,
        }
    }
}

/// The way to a client.
pub(super) enum Output {
    Websocket(by_websocket::Output),
    Spdy(by_spdy::Output),
}

impl Output {
    /// Sends bytes, if the client takes part in that stream; `None` if it is gone.
    pub(super) async fn send(&mut self, to: To, bytes: &[u8]) -> Option<()> {
        match self {
            Self::Websocket(output) => output.send(to, bytes).await,
            Self::Spdy(output) => output.send(to, bytes).await,
        }
    }

    /// Says how it ended, and that nothing follows. A client that is gone doesn't mind.
    pub(super) async fn finish(self, status: &Value) {
        let finish = async {
            match self {
                Self::Websocket(output) => output.finish(status).await,
                Self::Spdy(output) => output.finish(status).await,
            }
        };
        let _ = tokio::time::timeout(DRAIN, finish).await;
    }
}

/// A client, once it is there.
pub(super) type Client = (Input, Output);

/// What is done with a client.
pub(super) type Work = Box<dyn FnOnce(Client) -> BoxFuture<'static, ()> + Send>;

/// Upgrades a request's connection, and works with the client that speaks on it.
///
/// # Errors
/// A request that asks for no upgrade, or for none that is known here.
pub(super) async fn upgrade(
    parts: &mut Parts,
    streams: Streams,
    work: Work,
) -> Result<Response, Failure> {
    if spdy::wanted(&parts.headers) {
        return by_spdy::upgrade(parts, streams, work);
    }
    by_websocket::upgrade(session::websocket(parts).await?, streams, work)
}

/// The end of what went well.
pub(super) fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}
