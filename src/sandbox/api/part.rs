//! What is asked below an object: status, scale, eviction, binding …

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    body, conditions, delete,
    failure::Failure,
    http::{Api, change, get, write_options},
    object::Object,
    patch::{self, PatchKind},
    refuse::not_allowed,
    request::{Parameters, Target},
    resource::{NAMESPACES, PODS},
    scale,
    store::{Store, Writer},
    subresource,
    write::{Part, Place, WriteOptions},
};

/// Answers a request about a part of an object.
pub(super) async fn part(
    api: &Api,
    target: &Target,
    name: &str,
    subresource: &str,
    parameters: &Parameters,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let place = Place { resource: target.resource, namespace, name };
    match (subresource, &parts.method) {
        ("status", &Method::GET) if target.resource.status => get(api, place, parameters, parts),
        ("status", &Method::PUT | &Method::PATCH) if target.resource.status => {
            change(api, place, Part::Status, parameters, parts, body).await
        }
        ("scale", &Method::GET) => Ok(axum::Json(scale::get(&api.store, place)?).into_response()),
        ("scale", &Method::PUT | &Method::PATCH) if target.resource.scale => {
            let options = write_options(parameters, parts)?;
            let options = WriteOptions { subresource: "scale", ..options };
            let patch = match parts.method {
                Method::PATCH => {
                    Some(PatchKind::of(body::content_type(&parts.headers), target.resource)?)
                }
                _ => None,
            };
            let body = body::read(&parts.headers, body).await?.value;
            let (code, scale) = scale::change(&api.store, place, &options, patch, body)?;
            Ok((code, axum::Json(scale)).into_response())
        }
        ("finalize", &Method::PUT) if target.resource == &NAMESPACES => {
            let given = body::read(&parts.headers, body).await?.value;
            let object = api.store.write(|writer| finalize(writer, place, &given))?;
            Ok(axum::Json(&*object).into_response())
        }
        ("binding", &Method::POST) if target.resource == &PODS => {
            let binding = body::read(&parts.headers, body).await?.value;
            bind(&api.store, place, binding.text("/target/name"))?;
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "code": 201,
            });
            Ok((StatusCode::CREATED, axum::Json(status)).into_response())
        }
        ("eviction", &Method::POST) if target.resource == &PODS => {
            let eviction = body::read(&parts.headers, body).await?.value;
            let options = parameters.delete_options(&eviction["deleteOptions"])?;
            subresource::evict(&api.store, place, &eviction, &options)?;
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "code": 201,
            });
            Ok((StatusCode::CREATED, axum::Json(status)).into_response())
        }
        ("ephemeralcontainers", &Method::GET) if target.resource == &PODS => {
            get(api, place, parameters, parts)
        }
        ("ephemeralcontainers", &Method::PUT | &Method::PATCH) if target.resource == &PODS => {
            let given = body::read(&parts.headers, body).await?.value;
            let dry_run = write_options(parameters, parts)?.dry_run;
            let kind = match parts.method {
                Method::PATCH => {
                    Some(PatchKind::of(body::content_type(&parts.headers), target.resource)?)
                }
                _ => None,
            };
            let pod =
                subresource::add_containers(&api.store, place, dry_run, |before| match kind {
                    Some(kind) => patch::patched(kind, PODS.schema(), before, given),
                    None => Ok(given),
                })?;
            Ok(axum::Json(&*pod).into_response())
        }
        ("status" | "finalize" | "binding" | "eviction" | "ephemeralcontainers" | "scale", _) => {
            Err(not_allowed(target.resource, &parts.method))
        }
        _ if target.resource.definition().is_some() => {
            Err(Failure::not_found(target.resource, place.name))
        }
        _ => Err(Failure::no_such_path()),
    }
}

/// Takes the finalizers of a namespace's specification from a body.
fn finalize(
    writer: &mut Writer<'_>,
    place: Place<'_>,
    given: &Value,
) -> Result<Arc<Value>, Failure> {
    let before = writer.get(&NAMESPACES, "", place.name);
    let before = before.ok_or_else(|| Failure::not_found(&NAMESPACES, place.name))?;
    let mut object = Value::clone(&before);
    let finalizers = given.items("/spec/finalizers").to_vec();
    if finalizers.is_empty() {
        object.section_mut("spec").remove("finalizers");
    } else {
        object.section_mut("spec").insert("finalizers".into(), finalizers.into());
    }
    Ok(delete::put(writer, &NAMESPACES, object))
}

/// Assigns a pod to a node, as schedulers do.
///
/// # Errors
/// 404 for a pod that isn't there, 409 for one that is assigned already.
pub fn bind(store: &Store, place: Place<'_>, node: &str) -> Result<(), Failure> {
    store.write(|writer| {
        let before = writer.get(&PODS, place.namespace, place.name);
        let before = before.ok_or_else(|| Failure::not_found(&PODS, place.name))?;
        let present = before.text("/spec/nodeName");
        if !present.is_empty() {
            let detail = format!("pod {} is already assigned to node \"{present}\"", place.name);
            return Err(Failure::conflict(&PODS, place.name, &detail));
        }
        let mut pod = Value::clone(&before);
        pod.section_mut("spec").insert("nodeName".into(), node.into());
        conditions::set(&mut pod, "PodScheduled", true, "", "");
        writer.put(&PODS, pod);
        Ok(())
    })
}
