//! Writes of one object: an update, or a patch of any kind.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, request::Parts};

use super::{
    super::{
        body,
        failure::{Cause, Failure},
        object::{Object, object_mut},
        patch::PatchKind,
        request::Parameters,
        resource::Resource,
        write::{self, Part, Place, WriteOptions, Written},
        write_patch,
    },
    Api, warn,
};

/// What a request says about its write. Who doesn't name a manager is known by the first
/// word of its user agent.
pub(in crate::sandbox::api) fn write_options(
    parameters: &Parameters,
    parts: &Parts,
) -> Result<WriteOptions, Failure> {
    let kind = match parts.method {
        Method::POST => "CreateOptions",
        Method::PATCH => "PatchOptions",
        _ => "UpdateOptions",
    };
    let mut options = parameters.write_options(kind)?;
    if options.manager.is_empty() {
        let agent = parts.headers.get(http::header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
        options.agent = agent.split('/').next().unwrap_or_default().chars().take(128).collect();
    }
    Ok(options)
}

pub(in crate::sandbox::api) async fn change(
    api: &Api,
    place: Place<'_>,
    part: Part,
    parameters: &Parameters,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let mut options = write_options(parameters, parts)?;
    if part == Part::Status {
        options.subresource = "status";
    }
    let patch = match parts.method {
        Method::PUT => None,
        _ => Some(PatchKind::of(body::content_type(&parts.headers), place.resource)?),
    };
    let content = match patch {
        None => body::read_object(&parts.headers, body, place.resource).await?,
        Some(_) => body::read_patch(&parts.headers, body).await?,
    };
    options.duplicates = content.duplicates;
    let given = content.value;
    let Some(kind) = patch else {
        let there = api.store.get(place.resource, place.namespace, place.name).is_some();
        let named = given.name() == place.name;
        if !there && named && part == Part::Main && place.resource.is_made_by_update() {
            let written =
                write::create(&api.store, place.resource, place.namespace, given, &options)?;
            return Ok(respond(place.resource, StatusCode::CREATED, &written));
        }
        let written = write::update(&api.store, place, part, &options, |_| {
            let mut after = given;
            let named = object_mut(&mut after).contains_key("metadata");
            if !named || after.name().is_empty() {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({} based on URL) was undeterminable: name must be \
                     provided",
                    place.name
                )));
            }
            let version = after.text("/metadata/resourceVersion");
            let here = after.name() == place.name
                && (after.namespace().is_empty() || after.namespace() == place.namespace);
            if here && matches!(version, "" | "0") && !place.resource.is_updated_unconditionally() {
                return Err(Failure::unversioned(place.resource, place.name));
            }
            Ok(after)
        })?;
        return Ok(respond(place.resource, StatusCode::OK, &written));
    };
    if kind != PatchKind::Apply && parameters.has("force") {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(Failure::invalid_options("PatchOptions", &[cause]));
    }
    let force = parameters.flag("force");
    options.is_patch = true;
    options.patch = (kind != PatchKind::Apply).then(|| given.clone());
    let (code, written) =
        write_patch::patch(&api.store, place, part, &options, kind, given, force)?;
    Ok(respond(place.resource, code, &written))
}

pub(super) fn respond(resource: &Resource, code: StatusCode, written: &Written) -> Response {
    let object = resource.present(&written.object);
    let mut response = (code, axum::Json(&*object)).into_response();
    for warning in &written.warnings {
        warn(&mut response, warning);
    }
    response
}
