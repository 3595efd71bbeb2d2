//! Answers in YAML, for who asks for them before JSON.

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use serde_json::Value;

use super::request::Parameters;

/// Whether the first media type that can be served is YAML. A watch has no such form here.
pub(super) fn is_wanted(parts: &Parts) -> bool {
    let accepted = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let media = |range: &str| range.split(';').next().unwrap_or_default().trim().to_owned();
    let ranges = accepted.unwrap_or_default().split(',').map(media);
    let mut known = ranges.filter(|media| {
        matches!(media.as_str(), "*/*" | "application/*" | "application/json" | "application/yaml")
    });
    known.next().is_some_and(|media| media == "application/yaml")
        && !Parameters::of(parts).flag("watch")
}

/// Writes a JSON answer as YAML; any other stays as it is.
pub(super) async fn answer(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    match value.and_then(|value| serde_yaml::to_string(&value).ok()) {
        Some(text) => {
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
            Response::from_parts(parts, Body::from(text))
        }
        None => Response::from_parts(parts, Body::from(bytes)),
    }
}
