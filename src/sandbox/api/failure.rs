//! What the API answers when it refuses: a `Status` object with Kubernetes' own words.

use http::StatusCode;
use serde_json::{Value, json};

pub use super::cause::Cause;
use super::{
    object::{Object, object_mut},
    resource::Resource,
};

/// A refusal, ready to be sent as a `Status`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP status.
    pub code: StatusCode,
    /// `Status.reason`.
    pub reason: &'static str,
    /// `Status.message`.
    pub message: String,
    /// `Status.details`; null where there are none.
    pub details: Value,
}

/// The group of the options of requests.
const OPTIONS_GROUP: &str = "meta.k8s.io";

/// `Status.details`, without what is empty.
fn details(name: &str, group: &str, kind: &str) -> Value {
    let fields = [("name", name), ("group", group), ("kind", kind)];
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect()
}

impl Failure {
    fn about(
        code: StatusCode,
        reason: &'static str,
        resource: &Resource,
        name: &str,
        message: String,
    ) -> Self {
        Self { code, reason, message, details: details(name, resource.group, resource.plural) }
    }

    fn plain(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// The object isn't there.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::about(StatusCode::NOT_FOUND, "NotFound", resource, name, message)
    }

    /// An object of this name is there already.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::about(StatusCode::CONFLICT, "AlreadyExists", resource, name, message)
    }

    /// The write was made for another state of the object.
    pub fn conflict(resource: &Resource, name: &str, detail: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {detail}",
            resource.qualified()
        );
        Self::about(StatusCode::CONFLICT, "Conflict", resource, name, message)
    }

    /// A [`Self::conflict`] in which the kind stands for the resource, as deletions have it.
    pub fn conflict_of_kind(resource: &Resource, name: &str, detail: &str) -> Self {
        let group = if resource.group.is_empty() { "" } else { "." };
        Self {
            code: StatusCode::CONFLICT,
            reason: "Conflict",
            message: format!(
                "Operation cannot be fulfilled on {}{group}{} \"{name}\": {detail}",
                resource.kind, resource.group
            ),
            details: details(name, resource.group, resource.kind),
        }
    }

    /// The usual reason for a [`Self::conflict`].
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    /// The write is not permitted, whoever asks.
    pub fn forbidden(resource: &Resource, name: &str, detail: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {detail}", resource.qualified());
        Self::about(StatusCode::FORBIDDEN, "Forbidden", resource, name, message)
    }

    /// The same refusal of an object that has another name.
    pub fn renamed(mut self, name: &str, other: &str) -> Self {
        self.message = self.message.replacen(&format!("\"{name}\""), &format!("\"{other}\""), 1);
        if self.details["name"] == name {
            self.details["name"] = other.into();
        }
        self
    }

    /// The namespace is going away and takes nothing new.
    pub fn terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let detail = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut failure = Self::forbidden(resource, name, &detail);
        failure.details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        failure
    }

    /// An update of a kind that isn't updated without a version.
    pub fn unversioned(resource: &Resource, name: &str) -> Self {
        let detail = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &0.into(), detail);
        Self::refused(resource.plural, resource.group, name, &[cause])
    }

    /// The object breaks rules of its kind.
    pub fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        Self::refused(resource.kind, resource.group, name, causes)
    }

    fn refused(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for cause in causes {
            let text = format!("{}: {}", cause.field, cause.message);
            // The same thing said of two items of a list is told once.
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let text =
            if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let mut details = details(name, group, kind);
        let list = causes.iter().map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        );
        details["causes"] = list.collect();
        let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        Self {
            code: StatusCode::UNPROCESSABLE_ENTITY,
            reason: "Invalid",
            message: format!("{kind} \"{name}\" is invalid: {text}"),
            details,
        }
    }

    /// An object that says to be of another kind: it is named by what it says.
    pub fn invalid_kind(resource: &Resource, object: &Value, cause: Cause) -> Self {
        let kind = object.text("/kind");
        Self::refused(kind, resource.group, object.name(), &[cause])
    }

    /// The request's own options break rules: `CreateOptions`, `ListOptions` …
    pub fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        Self::refused(kind, OPTIONS_GROUP, "", causes)
    }

    /// A JSON patch that doesn't fit the object: the API server doesn't say where.
    pub fn rejected_patch() -> Self {
        let text = "the server rejected our request due to an error in our request";
        Self { details: json!({}), ..Self::unprocessable(text) }
    }

    /// A patch of which comes no object of the kind.
    pub fn invalid_patch(patch: &Value, detail: &str) -> Self {
        let text = Value::String(patch.to_string());
        let cause = Cause::invalid("patch", &text, detail);
        Self {
            code: StatusCode::UNPROCESSABLE_ENTITY,
            reason: "Invalid",
            message: format!(" \"\" is invalid: {}: {}", cause.field, cause.message),
            details: json!({"causes": [
                {"reason": cause.reason, "message": cause.message, "field": cause.field},
            ]}),
        }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The request is well-formed, but can't be done (a JSON patch that doesn't fit).
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// No token, or a wrong one.
    pub fn unauthorized() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// No such place in the API.
    pub fn no_such_path() -> Self {
        let mut failure = Self::plain(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = json!({});
        failure
    }

    /// The place is there, the verb isn't.
    pub fn method_not_allowed() -> Self {
        let text = "the server does not allow this method on the requested resource";
        let failure = Self::plain(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text);
        Self { details: json!({}), ..failure }
    }

    /// The same for a custom resource, which another server serves.
    pub fn method_not_supported(resource: &Resource, verb: &str) -> Self {
        let message =
            format!("{verb} is not supported on resources of kind \"{}\"", resource.qualified());
        let code = StatusCode::METHOD_NOT_ALLOWED;
        Self::about(code, "MethodNotAllowed", resource, "", message)
    }

    /// The body is in a form that isn't read here.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 {}",
                accepted.join(", ")
            ),
        )
    }

    /// Nothing that the client takes can be sent.
    pub fn not_acceptable(offered: &str) -> Self {
        Self::plain(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!("only the following media types are accepted: {offered}"),
        )
    }

    /// The version asked for is older than what is remembered.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::plain(
            StatusCode::GONE,
            "Expired",
            format!("too old resource version: {asked} ({oldest})"),
        )
    }

    /// What the request leads to isn't there now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// The server itself failed, and says no more than a text.
    pub fn unexplained(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// The server itself failed.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let (code, text) = (StatusCode::INTERNAL_SERVER_ERROR, message.to_string());
        let failure =
            Self::plain(code, "InternalError", format!("Internal error occurred: {text}"));
        Self { details: json!({"causes": [{"message": text}]}), ..failure }
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if self.reason.is_empty() {
            object_mut(&mut status).remove("reason");
        }
        if let Some(token) = self.details.get("continue") {
            // The token of a list's next page belongs to a list's metadata.
            status["metadata"]["continue"] = token.clone();
        } else if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
