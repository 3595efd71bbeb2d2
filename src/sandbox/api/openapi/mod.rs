//! The API's description of itself: `/openapi/v3`, a document for each group and version,
//! and `/openapi/v2`, all in one.
//!
//! kubectl reads from it which parameters a request may have, how lists are merged, and
//! what `kubectl explain` shows.

mod definitions;
mod paths;
mod protobuf;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{failure::Failure, resource::Resource};
use crate::sandbox::layout::KUBERNETES_VERSION;

/// The answer for a path below `/openapi`, if it is one.
pub fn answer(
    rows: &[&'static Resource],
    path: &str,
    headers: &HeaderMap,
) -> Option<Result<Response, Failure>> {
    let rest = path.strip_prefix("/openapi/")?.trim_end_matches('/');
    if rest == "v2" {
        return Some(v2(rows, headers));
    }
    if rest == "v3" {
        return Some(Ok(axum::Json(index(rows)).into_response()));
    }
    let wanted = rest.strip_prefix("v3/")?;
    let api_version = wanted.strip_prefix("apis/").or_else(|| wanted.strip_prefix("api/"))?;
    let rows = of_version(rows, api_version);
    let (text, hash) = (!rows.is_empty()).then(|| document(api_version, &rows))?;
    Some(Ok(respond(text, &hash, headers)))
}

fn respond(text: Bytes, hash: &str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, tag)];
    (headers, text).into_response()
}

fn of_version(rows: &[&'static Resource], api_version: &str) -> Vec<&'static Resource> {
    rows.iter().copied().filter(|row| row.api_version() == api_version).collect()
}

/// Where each document is. The hash changes with the document, so that clients may keep it.
fn index(rows: &[&'static Resource]) -> Value {
    let versions: BTreeSet<_> = rows.iter().map(|row| row.api_version()).collect();
    let mut paths = Map::new();
    for api_version in versions {
        let (_, hash) = document(&api_version, &of_version(rows, &api_version));
        let place = if api_version.contains('/') {
            format!("apis/{api_version}")
        } else {
            format!("api/{api_version}")
        };
        let url = format!("/openapi/v3/{place}?hash={hash}");
        paths.insert(place, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The document of a group and version, and its hash. The built-in ones are written once.
fn document(api_version: &str, rows: &[&'static Resource]) -> (Bytes, String) {
    static KNOWN: Mutex<BTreeMap<String, (Bytes, String)>> = Mutex::new(BTreeMap::new());
    let builtin = rows.iter().all(|row| row.definition().is_none());
    if builtin
        && let Some(known) =
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(api_version).cloned()
    {
        return known;
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths::of(rows),
        "components": {
            "schemas": definitions::of(rows),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header",
                "description": "Bearer Token authentication",
            }},
        },
    });
    let text = document.to_string();
    let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02X}")).collect();
    let written = (Bytes::from(text), hash);
    if builtin {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(api_version.to_owned(), written.clone());
    }
    written
}

/// Everything in one document, in the older form.
fn v2(rows: &[&'static Resource], headers: &HeaderMap) -> Result<Response, Failure> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let accepted = accepted.unwrap_or("*/*");
    let json = accepted.contains("json") || accepted.contains("*/*");
    if !json && !accepted.contains(protobuf::WANTED) {
        return Err(Failure::not_acceptable(&format!("application/json, {}", protobuf::WANTED)));
    }
    let mut definitions = definitions::of(rows);
    definitions.values_mut().for_each(older);
    let mut paths = paths::of(rows);
    paths.values_mut().for_each(paths::older);
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {
            "type": "apiKey", "name": "authorization", "in": "header",
            "description": "Bearer Token authentication",
        }},
        "security": [{"BearerToken": []}],
    });
    if accepted.contains(protobuf::WANTED) {
        let kind = [(header::CONTENT_TYPE, protobuf::TYPE)];
        return Ok((kind, protobuf::document(&document)).into_response());
    }
    Ok(axum::Json(document).into_response())
}

/// Schemas as version 2 writes them: references stand alone and lead to `definitions`.
fn older(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(reference) = map.get("allOf").and_then(|all| all.pointer("/0/$ref")) {
                let reference = reference.clone();
                map.remove("allOf");
                map.insert("$ref".into(), reference);
            }
            if map.remove("oneOf").is_some() {
                map.insert("type".into(), "string".into());
            }
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/definitions/");
            }
            map.values_mut().for_each(older);
        }
        Value::Array(items) => items.iter_mut().for_each(older),
        _ => {}
    }
}
