//! What went wrong in a call to Kubernetes, in words for people.
//!
//! kube's own error prints its source inside itself, so a printed chain says everything
//! twice. Here stage, object and the server's message are one sentence, and only what
//! lies below the API (TLS, sockets) is kept as the source.

use std::error::Error as StdError;

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
    /// The run was cancelled.
    Cancelled,
    /// Anything else.
    Other,
}

impl Error {
    /// An error of netproof's own making.
    pub(crate) fn new(
        what: impl Into<String>,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), message: message.into(), kind, source: None }
    }

    /// The wait for `what` took too long.
    pub(crate) fn deadline(what: impl Into<String>) -> Self {
        Self::new(what, ErrorKind::Deadline, "no answer before the deadline")
    }

    /// kube's error, with the call that it came from: a verb and an object.
    pub(crate) fn from_kube(what: impl Into<String>, error: kube::Error) -> Self {
        let what = what.into();
        match error {
            kube::Error::Api(status) => {
                let kind = kind_of(&status);
                let message = message_of(&status);
                Self { what, message, kind, source: None }
            }
            kube::Error::Service(source) => {
                // A timeout of the client is an answer that never came, just as a refused
                // connection is.
                Self {
                    what,
                    message: "the API server does not answer".into(),
                    kind: ErrorKind::Unreachable,
                    source: Some(source),
                }
            }
            kube::Error::HyperError(source) => Self {
                what,
                message: "the connection to the API server broke".into(),
                kind: ErrorKind::Unreachable,
                source: Some(Box::new(source)),
            },
            kube::Error::ReadEvents(source) => Self {
                what,
                message: "the connection to the API server broke".into(),
                kind: ErrorKind::Unreachable,
                source: Some(Box::new(source)),
            },
            kube::Error::SerdeError(source) => Self {
                what,
                message: "the API server's answer can't be read".into(),
                kind: ErrorKind::Other,
                source: Some(Box::new(source)),
            },
            kube::Error::UpgradeConnection(
                kube::client::UpgradeConnectionError::ProtocolSwitch(status),
            ) => {
                let kind = match status.as_u16() {
                    403 => ErrorKind::Forbidden,
                    404 => ErrorKind::NotFound,
                    _ => ErrorKind::Other,
                };
                let message = format!("the API server answers {status}, not a websocket");
                Self { what, message, kind, source: None }
            }
            // The rest prints its source itself; it is not repeated.
            other => {
                Self { what, message: other.to_string(), kind: ErrorKind::Other, source: None }
            }
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<String> {
        match self.kind {
            ErrorKind::Forbidden => Some(
                "ask for that permission, or use a context that has it (`kubectl auth can-i --list`)"
                    .into(),
            ),
            ErrorKind::Unreachable => {
                Some("check that the cluster is up and that --context names the right one".into())
            }
            _ => None,
        }
    }
}

/// The reason in the server's answer; codes alone where an old server gives no reason.
fn kind_of(status: &kube::core::Status) -> ErrorKind {
    match (status.reason.as_str(), status.code) {
        ("AlreadyExists", _) => ErrorKind::AlreadyExists,
        ("Forbidden" | "Unauthorized", _) | ("", 401 | 403) => ErrorKind::Forbidden,
        ("NotFound", _) | ("", 404) => ErrorKind::NotFound,
        ("Conflict" | "Expired", _) | ("", 409 | 410) => ErrorKind::Conflict,
        ("Invalid" | "BadRequest", _) | ("", 400 | 422) => ErrorKind::Invalid,
        ("Timeout" | "ServerTimeout", _) => ErrorKind::Deadline,
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
