//! The door: what every request goes through before it is handled, and after.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, DATE, RETRY_AFTER, USER_AGENT},
    request::Parts,
};
use serde_json::json;

use super::{
    access::{Attributes, User, request_token, review, token::ISSUER},
    audit::Record,
    body, cni,
    failure::Failure,
    health,
    http::{Api, answer},
    names,
    request::Parameters,
    resource::SERVICE_ACCOUNTS,
    weather::Meeting,
    write::Place,
    yaml,
};
use crate::sandbox::clock;

/// The API as a service.
pub fn router(api: Api) -> Router {
    Router::new().fallback(handle).with_state(api)
}

async fn handle(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let attributes = Attributes::of(&parts);
    let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default().to_owned();
    let wants_yaml = yaml::is_wanted(&parts);
    let mut record = Record::new(attributes.clone(), parts.uri.to_string(), agent);
    let mut response = match api.weather.meet(&api.store, &attributes) {
        Meeting::Answered(response) => response,
        Meeting::Through(wait) => {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            match api.access.check(&api.store, &parts, &attributes) {
                Ok(user) => {
                    record.user = Some(user.clone());
                    admitted(&api, user, attributes, parts, body).await
                }
                Err(refused) => {
                    record.user = refused.user;
                    refused.failure.into_response()
                }
            }
        }
    };
    let date = clock::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(DATE, date);
    }
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if let Ok(id) = HeaderValue::from_str(&names::uid()) {
        headers.insert("audit-id", id);
    }
    if wants_yaml {
        response = yaml::answer(response).await;
    }
    record.code = response.status().as_u16();
    record.answered = clock::now();
    api.audit.record(record);
    response
}

async fn admitted(
    api: &Api,
    user: User,
    attributes: Attributes,
    mut parts: Parts,
    body: axum::body::Body,
) -> Response {
    let parameters = Parameters::of(&parts);
    if let Some(response) = plain(api, &attributes, &parts.method, &parameters) {
        return response;
    }
    if let Some(response) = api.audit.answer(&attributes, &parts.method, &parameters) {
        return response;
    }
    let parameters = Parameters::of(&parts);
    if let Some(response) = cni::answer(api.cni.as_deref(), &attributes, &parts.method, &parameters)
    {
        return response;
    }
    let is_post = parts.method == Method::POST;
    let result = if let (true, Some(kind)) = (is_post, review::kind(&attributes)) {
        match body::read(&parts.headers, body).await.map(|content| content.value) {
            Ok(review) => {
                let (access, store) = (&api.access, &api.store);
                review::answer(access, store, &user, &attributes, kind, review).map(created)
            }
            Err(failure) => Err(failure),
        }
    } else if is_post && is_token_request(&attributes) {
        let (namespace, name) = (&*attributes.namespace, &*attributes.name);
        let place = Place { resource: &SERVICE_ACCOUNTS, namespace, name };
        let tokens = &api.access.tokens;
        match body::read(&parts.headers, body).await.map(|content| content.value) {
            Ok(body) => request_token(&api.store, tokens, place, body).map(created),
            Err(failure) => Err(failure),
        }
    } else {
        parts.extensions.insert(user);
        answer(api, Request::from_parts(parts, body)).await
    };
    result.unwrap_or_else(Failure::into_response)
}

fn created(object: serde_json::Value) -> Response {
    (StatusCode::CREATED, axum::Json(object)).into_response()
}

fn is_token_request(attributes: &Attributes) -> bool {
    attributes.group.is_empty()
        && attributes.version == "v1"
        && attributes.resource == "serviceaccounts"
        && attributes.subresource == "token"
}

/// Answers about the server itself.
fn plain(
    api: &Api,
    attributes: &Attributes,
    method: &Method,
    parameters: &Parameters,
) -> Option<Response> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    Some(match attributes.path.trim_end_matches('/') {
        "/.well-known/openid-configuration" => axum::Json(json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }))
        .into_response(),
        "/openid/v1/jwks" => axum::Json(api.access.tokens.key_set()).into_response(),
        path => return health::answer(path, parameters),
    })
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let wait = self.details.get("retryAfterSeconds").and_then(serde_json::Value::as_u64);
        let mut response = (self.code, axum::Json(self.status())).into_response();
        if let Some(wait) = wait {
            response.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        response
    }
}
