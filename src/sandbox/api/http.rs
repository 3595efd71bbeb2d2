//! The API over HTTP: one handler that reads a request, asks the other modules, answers.

mod change;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, WARNING},
    request::Parts,
};
use serde_json::{Value, json};

use self::change::respond;
pub(super) use self::change::{change, write_options};
use super::{
    access::Access,
    attach,
    audit::Audit,
    body,
    cni::Cni,
    delete::{self, Deleted},
    discovery, exec,
    failure::Failure,
    log,
    object::{Object, object_mut},
    openapi,
    part::part,
    port_forward, proxy, read,
    refuse::{is_served, not_allowed, nowhere},
    request::{Parameters, Target},
    resource::{PODS, Resource},
    runtime::{ControlPlane, Runtime},
    store::Store,
    table::Form,
    watch,
    weather::Weather,
    write::{self, Part, Place},
};

/// What the handler needs.
#[derive(Clone)]
pub struct Api {
    /// The objects.
    pub store: Arc<Store>,
    /// Who may what.
    pub access: Access,
    /// Who runs the containers; `None` where nothing runs.
    pub runtime: Option<Arc<dyn Runtime>>,
    /// From where the API server dials; `None` where there is no network.
    pub(in crate::sandbox) control_plane: Option<Arc<dyn ControlPlane>>,
    /// Who enforces policies; `None` where nobody does.
    pub(in crate::sandbox) cni: Option<Arc<dyn Cni>>,
    pub(super) audit: Arc<Audit>,
    pub(super) weather: Arc<Weather>,
}

impl Api {
    /// An API over a store.
    pub fn new(store: Arc<Store>, access: Access, runtime: Option<Arc<dyn Runtime>>) -> Self {
        Self {
            store,
            access,
            runtime,
            control_plane: None,
            cni: None,
            audit: Arc::default(),
            weather: Arc::default(),
        }
    }
}

/// Answers a request that has got past the door.
pub(super) async fn answer(api: &Api, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if parts.method == Method::GET
        && let Some(answer) = describe_itself(api, &path, &parts.headers)
    {
        return answer;
    }
    if let Some(way) = proxy::Way::parse(&path) {
        return proxy::answer(api, &way, parts, body).await;
    }
    let Some(target) = Target::parse(&path, &api.store) else {
        return if is_served(api, &path) { Err(Failure::no_such_path()) } else { Ok(nowhere()) };
    };
    let parameters = Parameters::of(&parts);
    if target.resource == &PODS
        && let (Some(name), Some(subresource)) = (&target.name, &target.subresource)
    {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let place = Place { resource: &PODS, namespace, name };
        match subresource.as_str() {
            "attach" => return attach::upgrade(api, place, &parameters, &mut parts).await,
            "exec" => return exec::upgrade(api, place, &parameters, &mut parts).await,
            "log" => return log::log(api, place, &parameters),
            "portforward" => {
                return port_forward::upgrade(api, place, &parameters, &mut parts).await;
            }
            _ => {}
        }
    }
    let mut answer = match (&target.name, &target.subresource) {
        (None, _) => collection(api, &target, &parameters, &parts, body).await,
        (Some(name), None) => one(api, &target, name, &parameters, &parts, body).await,
        (Some(name), Some(sub)) => part(api, &target, name, sub, &parameters, &parts, body).await,
    }?;
    if let Some(custom) = target.resource.definition()
        && custom.version["deprecated"] == true
    {
        warn(&mut answer, &deprecation(api, target.resource, &custom.version));
    }
    Ok(answer)
}

/// What is said with every answer in a version that its definition calls deprecated.
fn deprecation(api: &Api, resource: &Resource, version: &Value) -> String {
    let stated = version.text("/deprecationWarning");
    if !stated.is_empty() {
        return stated.to_owned();
    }
    let rows = api.store.resources();
    let others = rows.iter().filter(|row| *row == &resource && row.version != resource.version);
    let newer = others
        .filter(|row| row.definition().is_some_and(|custom| custom.version["deprecated"] != true));
    let newer = newer.max_by_key(|row| discovery::rank(row.version));
    let named = |row: &Resource| format!("{} {}", row.api_version(), row.kind);
    match newer {
        Some(newer) => format!("{} is deprecated; use {}", named(resource), named(newer)),
        None => format!("{} is deprecated", named(resource)),
    }
}

fn warn(response: &mut Response, text: &str) {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
        response.headers_mut().append(WARNING, value);
    }
}

/// Discovery and OpenAPI: what every client reads first.
fn describe_itself(
    api: &Api,
    path: &str,
    headers: &HeaderMap,
) -> Option<Result<Response, Failure>> {
    // Two segments lead to objects, whatever their group is called.
    let short = path.trim_matches('/').split('/').count() <= 3;
    if path.starts_with("/openapi/") {
        return openapi::answer(&api.store.resources(), path, headers);
    }
    if !short {
        return None;
    }
    discovery::answer(&api.store.resources(), path, headers).map(Ok)
}

async fn collection(
    api: &Api,
    target: &Target,
    parameters: &Parameters,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let resource = target.resource;
    match parts.method {
        Method::GET if parameters.flag("watch") => stream(api, target, parameters, parts),
        Method::GET => {
            let form = Form::of(&parts.headers, parameters)?;
            let list = read::list(&api.store, target, parameters)?;
            Ok(axum::Json(form.list(resource, list)).into_response())
        }
        Method::POST => {
            if resource.namespaced && target.namespace.is_none() {
                return if resource.definition().is_some() {
                    Ok(nowhere())
                } else {
                    Err(not_allowed(resource, &parts.method))
                };
            }
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let mut options = write_options(parameters, parts)?;
            let content = body::read_object(&parts.headers, body, resource).await?;
            options.duplicates = content.duplicates;
            let written = write::create(&api.store, resource, namespace, content.value, &options)?;
            Ok(respond(resource, StatusCode::CREATED, &written))
        }
        Method::DELETE => {
            if resource.namespaced && target.namespace.is_none() {
                return if resource.definition().is_some() {
                    Ok(nowhere())
                } else {
                    Err(not_allowed(resource, &parts.method))
                };
            }
            let options = body::read(&parts.headers, body).await?.value;
            let options = parameters.delete_options(&options)?;
            let selection = read::Selection::of(target, parameters)?;
            let (objects, version) = api.store.list(resource, target.namespace.as_deref());
            let mut deleted = Vec::new();
            for object in objects.iter().filter(|object| selection.matches(object)) {
                let place = Place { resource, namespace: object.namespace(), name: object.name() };
                match delete::delete(&api.store, place, &options) {
                    Ok(done) => deleted.push(done.into_object()),
                    Err(failure) if failure.code == StatusCode::NOT_FOUND => {}
                    Err(failure) => return Err(failure),
                }
            }
            Ok(axum::Json(read::envelope(resource, &deleted, version)).into_response())
        }
        _ => Err(not_allowed(resource, &parts.method)),
    }
}

fn stream(
    api: &Api,
    target: &Target,
    parameters: &Parameters,
    parts: &Parts,
) -> Result<Response, Failure> {
    let form = Form::of(&parts.headers, parameters)?;
    let lines = watch::watch(Arc::clone(&api.store), target, parameters, form)?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((headers, Body::from_stream(lines)).into_response())
}

async fn one(
    api: &Api,
    target: &Target,
    name: &str,
    parameters: &Parameters,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let place = Place { resource: target.resource, namespace, name };
    match parts.method {
        Method::GET if parameters.flag("watch") => stream(api, target, parameters, parts),
        Method::GET => get(api, place, parameters, parts),
        Method::PUT | Method::PATCH => {
            change(api, place, Part::Main, parameters, parts, body).await
        }
        Method::DELETE => {
            let options = body::read(&parts.headers, body).await?.value;
            let options = parameters.delete_options(&options)?;
            Ok(match delete::delete(&api.store, place, &options)? {
                Deleted::Going(object) => axum::Json(&*object).into_response(),
                Deleted::Gone(object) if target.resource.shows_deleted() => {
                    axum::Json(&*object).into_response()
                }
                Deleted::Gone(object) => {
                    axum::Json(deletion_status(target.resource, &object)).into_response()
                }
            })
        }
        _ => Err(not_allowed(target.resource, &parts.method)),
    }
}

pub(super) fn get(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
    parts: &Parts,
) -> Result<Response, Failure> {
    let form = Form::of(&parts.headers, parameters)?;
    let object = api.store.get(place.resource, place.namespace, place.name);
    let object = object.ok_or_else(|| Failure::not_found(place.resource, place.name))?;
    Ok(axum::Json(form.one(place.resource, &object)).into_response())
}

fn deletion_status(resource: &Resource, object: &Value) -> Value {
    let mut details = json!({
        "name": object.name(), "group": resource.group, "kind": resource.plural,
        "uid": object.uid(),
    });
    if resource.group.is_empty() {
        object_mut(&mut details).remove("group");
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}
