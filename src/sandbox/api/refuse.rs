//! The refusal of paths and methods that aren't there.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

use super::{failure::Failure, http::Api, resource::Resource};

/// Whether a path is below a group and version with built-in kinds, whose refusals are
/// `Status` objects.
pub(super) fn is_served(api: &Api, path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next() {
        Some("api") => ("", parts.next()),
        Some("apis") => (parts.next().unwrap_or_default(), parts.next()),
        _ => return false,
    };
    let rows = api.store.resources();
    let mut rows = rows.iter().filter(|row| row.definition().is_none());
    rows.any(|row| row.group == group && Some(row.version) == version)
}

/// What the API server says of any other path.
pub(super) fn nowhere() -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let as_said = HeaderValue::from_static("nosniff");
    let headers = [(CONTENT_TYPE, kind), (X_CONTENT_TYPE_OPTIONS, as_said)];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// The refusal of a method.
pub(super) fn not_allowed(resource: &Resource, method: &Method) -> Failure {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    };
    if resource.definition().is_some() && matches!(*method, Method::PUT | Method::PATCH) {
        // Only a whole collection is refused so; what has a name takes both.
        Failure::bad_request("name must be provided")
    } else if resource.definition().is_some() {
        Failure::method_not_supported(resource, verb)
    } else {
        Failure::method_not_allowed()
    }
}
