//! `pods/exec` over websockets.
//!
//! Each binary message begins with its channel: 0 standard input, 1 output, 2 errors,
//! 3 the final `Status`, 4 terminal sizes (ignored), and in v5 255, which closes the
//! channel named by the next byte.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use axum::{
    extract::ws::{CloseFrame, Message, WebSocket},
    response::Response,
};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::request::Parts;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
    sync::Semaphore,
};

use super::{
    container::named, failure::Failure, http::Api, request::Parameters, runtime::ExecError,
    session, weather, write::Place,
};

/// What is spoken over a websocket, best first.
pub(super) const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;

/// Programs that are being started at once.
static SPAWNS: Semaphore = Semaphore::const_new(8);

/// How long output may still come after the program's end.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers an exec request: checks it, upgrades the connection and runs the program.
///
/// # Errors
/// What can be known before the upgrade: no such pod or container, a pod that doesn't run.
pub async fn upgrade(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
    parts: &mut Parts,
) -> Result<Response, Failure> {
    let (pod, container) = named(api, place, parameters)?;
    let command = parameters.all("command").to_vec();
    if command.is_empty() {
        return Err(Failure::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    session::assigned(&pod)?;
    session::not_completed(&pod, "exec into a container in")?;
    let runtime = session::runtime(api, &pod)?;
    let upgrade = session::websocket(parts).await?.protocols(PROTOCOLS);
    if upgrade.selected_protocol().is_none() {
        let text = "unable to upgrade: the subprotocols v5.channel.k8s.io and v4.channel.k8s.io \
                    are spoken here";
        return Err(Failure::bad_request(text));
    }
    // Never closed. A fork may hold its thread up.
    let turn = SPAWNS.acquire().await;
    let command = Arc::new(command);
    let started = tokio::task::spawn_blocking({
        let command = Arc::clone(&command);
        move || runtime.exec(&pod, &container, &command)
    });
    let started = started.await.map_err(Failure::internal)?;
    drop(turn);
    if let Err(error @ ExecError::NotRunning(_)) = &started {
        return Err(Failure::internal(format!("unable to upgrade connection: {error}")));
    }
    let streams = Streams {
        stdin: parameters.flag("stdin"),
        stdout: parameters.flag("stdout"),
        stderr: parameters.flag("stderr") && !parameters.flag("tty"),
    };
    let (store, began) = (Arc::clone(&api.store), tokio::time::Instant::now());
    Ok(upgrade.on_upgrade(move |socket| async move {
        match started {
            Ok(child) => {
                tokio::select! {
                    // The child dies with its handle.
                    () = weather::over(store, began, weather::exec_cut) => {}
                    () = run(socket, child, streams, &command) => {}
                }
            }
            Err(error) => {
                let (mut sink, _) = socket.split();
                finish(&mut sink, &failed(&error)).await;
            }
        }
    }))
}

#[derive(Clone, Copy)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// Carries the streams between a websocket and a program until one of the two ends.
async fn run(socket: WebSocket, mut child: Child, streams: Streams, command: &[String]) {
    let (mut sink, mut stream) = socket.split();
    let stdin = child.stdin.take().filter(|_| streams.stdin);
    let status = tokio::select! {
        () = input(&mut stream, stdin) => None,
        status = output(&mut sink, &mut child, streams) => status,
    };
    match status {
        Some(status) => finish(&mut sink, &ended(status, command)).await,
        None => {
            // The client is gone. The program may be gone already, which is no error.
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
    }
}

/// Takes what the client sends, until it closes the connection.
pub(super) async fn input(stream: &mut SplitStream<WebSocket>, mut stdin: Option<ChildStdin>) {
    while let Some(Ok(message)) = stream.next().await {
        let data = match message {
            Message::Binary(data) => data,
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

/// Sends what the program writes, and says how it ended. `None` if the client is gone.
async fn output(
    sink: &mut SplitSink<WebSocket, Message>,
    child: &mut Child,
    streams: Streams,
) -> Option<ExitStatus> {
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut status = None;
    let mut deadline = None;
    let (mut first, mut second) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            length = read(&mut stdout, &mut first) => match length {
                0 => stdout = None,
                length if streams.stdout => send(sink, STDOUT, &first[..length]).await?,
                _ => {}
            },
            length = read(&mut stderr, &mut second) => match length {
                0 => stderr = None,
                length if streams.stderr => send(sink, STDERR, &second[..length]).await?,
                _ => {}
            },
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.ok()?);
                deadline = Some(tokio::time::Instant::now() + DRAIN);
            }
            () = late => break,
        }
    }
    status
}

async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match pipe {
        // A pipe that can't be read has ended.
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

pub(super) async fn send(
    sink: &mut SplitSink<WebSocket, Message>,
    channel: u8,
    data: &[u8],
) -> Option<()> {
    let mut message = Vec::with_capacity(data.len() + 1);
    message.push(channel);
    message.extend_from_slice(data);
    sink.send(Message::Binary(message.into())).await.ok()
}

/// Sends the status and closes the connection. A client that is gone doesn't mind.
pub(super) async fn finish(sink: &mut SplitSink<WebSocket, Message>, status: &Value) {
    let close = Message::Close(Some(CloseFrame { code: 1000, reason: "".into() }));
    if send(sink, ERROR, status.to_string().as_bytes()).await.is_some() {
        let _ = tokio::time::timeout(DRAIN, sink.send(close)).await;
    }
}

fn ended(status: ExitStatus, command: &[String]) -> Value {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!(
            "command terminated with non-zero exit code: error executing command {command:?}, exit \
             code {code}"
        ),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        "code": 500,
    })
}

fn failed(error: &ExecError) -> Value {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {message}"),
        "details": {"causes": [{"message": message}]},
    })
}
