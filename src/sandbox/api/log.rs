//! `pods/log`: what a container has written so far.

use axum::response::{IntoResponse, Response};

use super::{container::named, failure::Failure, http::Api, request::Parameters, write::Place};

/// Answers a log request: what the container has written so far.
///
/// # Errors
/// No such pod or container, or one that has not started.
pub fn log(api: &Api, place: Place<'_>, parameters: &Parameters) -> Result<Response, Failure> {
    let (pod, container) = named(api, place, parameters)?;
    let lines = api
        .runtime
        .as_ref()
        .and_then(|runtime| runtime.log(&pod, &container, parameters.flag("previous")));
    let Some(lines) = lines else {
        let (name, kind) = (place.name, "is waiting to start: ContainerCreating");
        let text = format!("container \"{container}\" in pod \"{name}\" {kind}");
        return Err(Failure::bad_request(text));
    };
    let since = parameters.number::<i64>("sinceSeconds")?.and_then(|seconds| {
        let ago = jiff::SignedDuration::from_secs(seconds);
        jiff::Timestamp::now().checked_sub(ago).ok()
    });
    let tail = parameters.number::<usize>("tailLines")?.unwrap_or(usize::MAX);
    let stamps = parameters.flag("timestamps");
    let wanted: Vec<_> =
        lines.iter().filter(|line| since.is_none_or(|since| line.time >= since)).collect();
    let mut text = String::new();
    for line in wanted.iter().skip(wanted.len().saturating_sub(tail)) {
        if stamps {
            text.push_str(&format!("{} ", line.time));
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    Ok(([("content-type", "text/plain")], text).into_response())
}
