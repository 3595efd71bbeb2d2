//! `pods/exec`: a program in a container, whose streams are a client's.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use axum::response::Response;
use futures::FutureExt;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::Semaphore,
};

use super::{
    container::named,
    failure::Failure,
    http::Api,
    remote::{self, Client, Output, Streams, To},
    request::Parameters,
    runtime::ExecError,
    session, weather,
    write::Place,
};

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
    let streams = Streams::of(parameters)?;
    session::assigned(&pod)?;
    session::not_completed(&pod, "exec into a container in")?;
    let runtime = session::runtime(api, &pod)?;
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
    let (store, began) = (Arc::clone(&api.store), tokio::time::Instant::now());
    let work = move |client: Client| {
        async move {
            match started {
                Ok(child) => {
                    tokio::select! {
                        // The child dies with its handle.
                        () = weather::over(store, began, weather::exec_cut) => {}
                        () = run(client, child, &command) => {}
                    }
                }
                Err(error) => client.1.finish(&failed(&error)).await,
            }
        }
        .boxed()
    };
    remote::upgrade(parts, streams, Box::new(work)).await
}

/// Carries the streams between a client and a program until one of the two ends.
async fn run((mut input, mut output): Client, mut child: Child, command: &[String]) {
    let stdin = child.stdin.take();
    let status = tokio::select! {
        () = input.pass_on(stdin) => None,
        status = pass_on(&mut output, &mut child) => status,
    };
    match status {
        Some(status) => output.finish(&ended(status, command)).await,
        None => {
            // The client is gone. The program may be gone already, which is no error.
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
    }
}

/// Sends what the program writes, and says how it ended. `None` if the client is gone.
async fn pass_on(output: &mut Output, child: &mut Child) -> Option<ExitStatus> {
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
                length => output.send(To::Stdout, &first[..length]).await?,
            },
            length = read(&mut stderr, &mut second) => match length {
                0 => stderr = None,
                length => output.send(To::Stderr, &second[..length]).await?,
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

fn ended(status: ExitStatus, command: &[String]) -> Value {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    if code == 0 {
        return remote::success();
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
