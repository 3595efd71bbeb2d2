//! What somebody hears who may not.

use http::StatusCode;
use serde_json::json;

use super::{super::failure::Failure, Attributes, User};

/// A 403 that says who may not do what, and why, where that is known.
pub(super) fn forbidden(user: &User, attributes: &Attributes, reason: &str) -> Failure {
    let Attributes { verb, path, group, resource, namespace, name, .. } = attributes;
    let who = format!("User {:?}", user.name);
    let mut text = if !attributes.is_resource {
        format!("{who} cannot {verb} path {path:?}")
    } else {
        let what = attributes.combined();
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!("{who} cannot {verb} resource {what:?} in API group {group:?} {place}")
    };
    if !reason.is_empty() {
        text = format!("{text}: {reason}");
    }
    let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let message = match (resource.is_empty(), name.is_empty()) {
        (true, _) => format!("forbidden: {text}"),
        (false, true) => format!("{qualified} is forbidden: {text}"),
        (false, false) => format!("{qualified} {name:?} is forbidden: {text}"),
    };
    let mut details = json!({});
    for (key, value) in [("name", name), ("group", group), ("kind", resource)] {
        if !value.is_empty() {
            details[key] = value.clone().into();
        }
    }
    Failure { code: StatusCode::FORBIDDEN, reason: "Forbidden", message, details }
}
