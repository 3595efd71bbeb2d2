//! What went wrong in a call to Kubernetes, in words for people.
//!
//! kube's own error prints its source inside itself, so a printed chain says everything
//! twice. Here stage, object and the server's message are one sentence, and only what
//! lies below the API (TLS, sockets) is kept as the source.

use std::error::Error as StdError;

use kube::client::{AuthError, UpgradeConnectionError};

/// A call to Kubernetes failed: `create pod shop/np-abcdef-web-0: quota exceeded`.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {message}")]
pub struct Error {
    what: String,
    message: String,
    kind: ErrorKind,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a caller may want to do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// RBAC or an admission plugin refuses.
    Forbidden,
    /// The server doesn't take the credentials, or there are none to be had.
    Unauthorized,
    /// The object, or its kind, is not there.
    NotFound,
    /// An object of that name exists already.
    AlreadyExists,
    /// Somebody else changed the object meanwhile.
    Conflict,
    /// The server calls the object invalid.
    Invalid,
    /// No answer came from the server.
    Unreachable,
    /// The deadline passed.
    Deadline,
    /// Anything else.
    Other,
}

impl Error {
    /// An error of netproof's own making.
    pub(super) fn new(
        what: impl Into<String>,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), message: message.into(), kind, source: None }
    }

    /// The wait for `what` took too long.
    pub(super) fn deadline(what: impl Into<String>) -> Self {
        Self::new(what, ErrorKind::Deadline, "no answer before the deadline")
    }

    /// Nothing was heard of the server.
    pub(super) fn unreachable(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(what, ErrorKind::Unreachable, message)
    }

    /// kube's error, with the call that it came from: a verb and an object.
    pub(super) fn from_kube(what: impl Into<String>, error: kube::Error) -> Self {
        let below = |message: &str, kind, source: Box<dyn StdError + Send + Sync>| {
            (message.to_owned(), kind, Some(source))
        };
        let (message, kind, source) = match error {
            kube::Error::Api(status) => (message_of(&status), kind_of(&status), None),
            kube::Error::Service(source) if source.is::<AuthError>() => {
                below("no credentials for the cluster", ErrorKind::Unauthorized, source)
            }
            kube::Error::Service(source) => {
                below("the API server does not answer", ErrorKind::Unreachable, source)
            }
            kube::Error::HyperError(source) => {
                below("the connection broke", ErrorKind::Unreachable, source.into())
            }
            kube::Error::ReadEvents(source) => {
                below("the connection broke", ErrorKind::Unreachable, source.into())
            }
            kube::Error::SerdeError(source) => {
                below("the answer is not what Kubernetes says", ErrorKind::Other, source.into())
            }
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
                let kind = match status.as_u16() {
                    401 => ErrorKind::Unauthorized,
                    403 => ErrorKind::Forbidden,
                    404 => ErrorKind::NotFound,
                    _ => ErrorKind::Other,
                };
                (format!("the API server answers {status} and no websocket"), kind, None)
            }
            // The rest says its source itself.
            other => (other.to_string(), ErrorKind::Other, None),
        };
        Self { what: what.into(), message, kind, source }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence without stage and object.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The same error, found on the way to something larger.
    pub(super) fn during(mut self, what: &str) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// The pod's service account isn't there (yet): `error looking up service account
    /// shop/default: serviceaccount "default" not found`.
    pub(super) fn lacks_service_account(&self) -> bool {
        self.kind == ErrorKind::Forbidden
            && self.message.contains("serviceaccount")
            && self.message.contains("not found")
    }

    /// A right is missing, and not that something else refuses: it may be on its way.
    pub(super) fn may_be_granted(&self) -> bool {
        let is_plain = self.message.contains("cannot ")
            || self.message.contains("security context constraint");
        self.kind == ErrorKind::Forbidden && is_plain
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<String> {
        let message = &self.message;
        Some(match self.kind {
            ErrorKind::Forbidden if message.contains("exceeded quota") => {
                "raise the namespace's ResourceQuota, or choose another namespace".into()
            }
            ErrorKind::Forbidden if message.contains("must specify") => {
                "the namespace's ResourceQuota counts limits that probe pods don't set: give the \
                 namespace a LimitRange with defaults, or choose another one"
                    .into()
            }
            ErrorKind::Forbidden if message.contains("per Container is") => {
                "the namespace's LimitRange doesn't fit probe pods (requests: 5m of CPU, 16Mi of \
                 memory; limit: 256Mi): choose another namespace"
                    .into()
            }
            ErrorKind::Forbidden if message.contains("violates PodSecurity") => {
                "probe pods meet the `restricted` level; a sysctl for ports below 1024 needs \
                 Kubernetes 1.29: choose ports above 1023"
                    .into()
            }
            ErrorKind::Forbidden => "ask for that permission, or use a context that has it \
                                     (`kubectl auth can-i --list` shows what this one may)"
                .into(),
            ErrorKind::Unauthorized => {
                "log in again: the context's token or certificate is wrong or has expired".into()
            }
            ErrorKind::Unreachable => {
                "check that the cluster is up and that --context names the right one".into()
            }
            _ => return None,
        })
    }
}

/// The reason in the server's answer. Codes count where it gives none that Kubernetes knows:
/// an old server, a proxy, or a path that no API serves, which is answered in plain text.
fn kind_of(status: &kube::core::Status) -> ErrorKind {
    match status.reason.as_str() {
        "AlreadyExists" => return ErrorKind::AlreadyExists,
        "Forbidden" => return ErrorKind::Forbidden,
        "Unauthorized" => return ErrorKind::Unauthorized,
        "NotFound" => return ErrorKind::NotFound,
        "Conflict" | "Expired" => return ErrorKind::Conflict,
        "Invalid" | "BadRequest" => return ErrorKind::Invalid,
        "Timeout" | "ServerTimeout" => return ErrorKind::Deadline,
        _ => {}
    }
    match status.code {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        409 | 410 => ErrorKind::Conflict,
        400 | 422 => ErrorKind::Invalid,
        _ => ErrorKind::Other,
    }
}

/// The server's own sentence, or what is left where it gives none.
fn message_of(status: &kube::core::Status) -> String {
    match (status.message.trim(), status.reason.as_str()) {
        ("", "") => format!("HTTP status {}", status.code),
        ("", reason) => reason.to_owned(),
        (message, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_answer_becomes_one_sentence_with_its_kind() {
        for (reason, code, message, expected, kind) in [
            (
                "Forbidden",
                403,
                "pods \"web\" is forbidden: exceeded quota: q",
                "create pod shop/web: pods \"web\" is forbidden: exceeded quota: q",
                ErrorKind::Forbidden,
            ),
            ("", 404, "", "create pod shop/web: HTTP status 404", ErrorKind::NotFound),
            (
                "AlreadyExists",
                409,
                "",
                "create pod shop/web: AlreadyExists",
                ErrorKind::AlreadyExists,
            ),
            ("Conflict", 409, "changed", "create pod shop/web: changed", ErrorKind::Conflict),
            ("", 422, "bad", "create pod shop/web: bad", ErrorKind::Invalid),
            (
                "Failed to parse error data",
                404,
                "404 page not found",
                "create pod shop/web: 404 page not found",
                ErrorKind::NotFound,
            ),
            (
                "Unauthorized",
                401,
                "Unauthorized",
                "create pod shop/web: Unauthorized",
                ErrorKind::Unauthorized,
            ),
        ] {
            let status = Status::failure(message, reason).with_code(code);
            let error = Error::from_kube("create pod shop/web", kube::Error::Api(status.boxed()));
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), kind, "{expected}");
        }
    }

    #[test]
    fn a_forbidden_names_the_right_remedy() {
        for (message, remedy) in [
            ("exceeded quota: pods", "ResourceQuota"),
            ("violates PodSecurity \"restricted:v1.28\"", "ports above 1023"),
            ("failed quota: q: must specify limits.cpu for: netproof-probe", "LimitRange"),
            ("minimum cpu usage per Container is 100m, but request is 5m", "5m of CPU"),
            ("User \"u\" cannot create resource \"pods\"", "kubectl auth can-i"),
        ] {
            let status = Status::failure(message, "Forbidden").with_code(403);
            let error = Error::from_kube("create pod", kube::Error::Api(status.boxed()));
            assert!(error.remedy().unwrap().contains(remedy), "{message}");
        }
    }

    #[test]
    fn only_missing_rights_may_be_granted_yet() {
        for (message, expected) in [
            ("User \"u\" cannot create resource \"pods\" in API group \"\"", true),
            ("unable to validate against any security context constraint: []", true),
            ("pods \"web\" is forbidden: exceeded quota: q", false),
            ("violates PodSecurity \"restricted:latest\"", false),
        ] {
            let status = Status::failure(message, "Forbidden").with_code(403);
            let error = Error::from_kube("create pod", kube::Error::Api(status.boxed()));
            assert_eq!(error.may_be_granted(), expected, "{message}");
        }
    }

    #[test]
    fn a_chain_says_nothing_twice() {
        let below = Box::new(std::io::Error::other("connection refused"));
        let error = Error::from_kube("list nodes", kube::Error::Service(below));
        let source = error.source().unwrap().to_string();
        assert_eq!(error.to_string(), "list nodes: the API server does not answer");
        assert_eq!(source, "connection refused");
    }
}
