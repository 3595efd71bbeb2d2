//! `pods/log`: what a container has written so far, and what it goes on to write.

use std::{convert::Infallible, future::ready};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    container::named, failure::Failure, http::Api, request::Parameters, runtime::LogLine,
    write::Place,
};

/// Which lines are wanted, and how they are written.
struct Format {
    since: Option<Timestamp>,
    stamps: bool,
}

impl Format {
    fn wants(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|since| line.time >= since)
    }

    fn write(&self, line: &LogLine) -> String {
        let LogLine { time, text } = line;
        if self.stamps { format!("{time} {text}\n") } else { format!("{text}\n") }
    }
}

/// Answers a log request. With `follow` the answer goes on until the container ends.
///
/// # Errors
/// No such pod or container, one that has not started, or a node that doesn't answer.
pub fn log(api: &Api, place: Place<'_>, parameters: &Parameters) -> Result<Response, Failure> {
    let (pod, container) = named(api, place, parameters)?;
    let runtime =
        api.runtime.as_ref().ok_or_else(|| Failure::internal("no kubelet runs this pod"))?;
    if let Some(address) = runtime.unreachable(&pod) {
        let path = format!("{}/{}/{container}", place.namespace, place.name);
        return Err(Failure::internal(format!(
            "Get \"https://{address}:10250/containerLogs/{path}\": dial tcp {address}:10250: \
             connect: connection timed out"
        )));
    }
    let format = Format { since: since(parameters)?, stamps: parameters.flag("timestamps") };
    let tail = parameters.number::<usize>("tailLines")?.unwrap_or(usize::MAX);
    let limit = parameters.number::<usize>("limitBytes")?.unwrap_or(usize::MAX);
    let (lines, more) = if parameters.flag("previous") {
        let lines = runtime.log(&pod, &container, true).ok_or_else(|| {
            let name = place.name;
            let text = format!("previous terminated container \"{container}\" in pod \"{name}\"");
            Failure::bad_request(format!("{text} not found"))
        })?;
        (lines, stream::empty().boxed())
    } else {
        runtime.follow(&pod, &container).ok_or_else(|| {
            let (name, kind) = (place.name, "is waiting to start: ContainerCreating");
            let text = format!("container \"{container}\" in pod \"{name}\" {kind}");
            Failure::bad_request(text)
        })?
    };
    let wanted: Vec<_> = lines.iter().filter(|line| format.wants(line)).collect();
    let skipped = wanted.len().saturating_sub(tail);
    let mut text: String = wanted.iter().skip(skipped).map(|line| format.write(line)).collect();
    text.truncate(text.floor_char_boundary(limit));
    let head = [("content-type", "text/plain")];
    if !parameters.flag("follow") || text.len() >= limit {
        return Ok((head, text).into_response());
    }
    let mut left = limit - text.len();
    let more = more.filter(move |line| ready(line.time >= format.since.unwrap_or(Timestamp::MIN)));
    let stamps = Format { since: None, stamps: format.stamps };
    let more = more.map(move |line| stamps.write(&line)).take_while(move |line| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        ready(fits)
    });
    let body = stream::iter((!text.is_empty()).then_some(text)).chain(more);
    let body = body.map(|text| Ok::<_, Infallible>(Bytes::from(text)));
    Ok((head, Body::from_stream(body)).into_response())
}

/// From when on lines are wanted.
fn since(parameters: &Parameters) -> Result<Option<Timestamp>, Failure> {
    if let Some(seconds) = parameters.number::<i64>("sinceSeconds")? {
        let ago = jiff::SignedDuration::from_secs(seconds);
        return Ok(Timestamp::now().checked_sub(ago).ok());
    }
    match parameters.text("sinceTime") {
        "" => Ok(None),
        time => time
            .parse()
            .map(Some)
            .map_err(|_| Failure::bad_request(format!("parsing time \"{time}\": no RFC 3339"))),
    }
}
