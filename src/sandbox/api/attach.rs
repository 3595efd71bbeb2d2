//! `pods/attach`: what a container writes from now on, until it ends. What the client sends
//! is read and goes nowhere: no program here reads its standard input.
//!
//! A container with `stdinOnce` is somebody's `kubectl run -i`, who attaches as soon as it
//! runs. What it has written by then is said, too: on a cluster a quick command's output
//! may be lost.

use axum::response::Response;
use futures::{FutureExt, StreamExt};
use http::request::Parts;
use serde_json::Value;

use super::{
    container::named,
    failure::Failure,
    http::Api,
    object::Object,
    remote::{self, Streams, To},
    request::Parameters,
    runtime::ExecError,
    session,
    write::Place,
};

/// Answers an attach request.
///
/// # Errors
/// No such pod or container, one that doesn't run, or a node that doesn't answer.
pub(super) async fn upgrade(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
    parts: &mut Parts,
) -> Result<Response, Failure> {
    let (pod, container) = named(api, place, parameters)?;
    let streams = Streams::of(parameters)?;
    session::not_completed(&pod, "attach a container in")?;
    let runtime = session::runtime(api, &pod)?;
    let (before, mut lines) = runtime.follow(&pod, &container).ok_or_else(|| {
        let error = ExecError::NotRunning(container.clone());
        Failure::internal(format!("unable to upgrade connection: {error}"))
    })?;
    let once = pod.items("/spec/containers").iter().any(|one| {
        one.text("/name") == container && one.get("stdinOnce") == Some(&Value::Bool(true))
    });
    let before = if once { before } else { Vec::new() };
    let work = move |(mut input, mut output): remote::Client| {
        async move {
            let output = async {
                for line in before {
                    output.send(To::Stdout, format!("{}\n", line.text).as_bytes()).await?;
                }
                while let Some(line) = lines.next().await {
                    output.send(To::Stdout, format!("{}\n", line.text).as_bytes()).await?;
                }
                output.finish(&remote::success()).await;
                Some(())
            };
            tokio::select! {
                () = input.pass_on(None) => {}
                _ = output => {}
            }
        }
        .boxed()
    };
    remote::upgrade(parts, streams, Box::new(work)).await
}
