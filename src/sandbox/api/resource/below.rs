//! What can be asked for below an object.

/// What can be asked for below an object: `status`, `scale`, `exec` …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path.
    pub name: &'static str,
    /// The kind of what is sent.
    pub kind: &'static str,
    /// What can be done.
    pub verbs: &'static [&'static str],
}

impl Subresource {
    /// Group and version of what is sent, where they are not those of the object.
    pub fn foreign(&self) -> Option<(&'static str, &'static str)> {
        match self.kind {
            "Scale" => Some(("autoscaling", "v1")),
            "Eviction" => Some(("policy", "v1")),
            "TokenRequest" => Some(("authentication.k8s.io", "v1")),
            _ => None,
        }
    }
}

/// What stands below pods.
pub(super) const BELOW_PODS: &[Subresource] = &[
    Subresource { name: "attach", kind: "PodAttachOptions", verbs: &["create", "get"] },
    Subresource { name: "binding", kind: "Binding", verbs: &["create"] },
    Subresource { name: "ephemeralcontainers", kind: "Pod", verbs: &["get", "patch", "update"] },
    Subresource { name: "eviction", kind: "Eviction", verbs: &["create"] },
    Subresource { name: "exec", kind: "PodExecOptions", verbs: &["create", "get"] },
    Subresource { name: "log", kind: "Pod", verbs: &["get"] },
    Subresource { name: "portforward", kind: "PodPortForwardOptions", verbs: &["create", "get"] },
    Subresource { name: "proxy", kind: "PodProxyOptions", verbs: PROXIED },
];

/// What stands below Services.
pub(super) const BELOW_SERVICES: &[Subresource] =
    &[Subresource { name: "proxy", kind: "ServiceProxyOptions", verbs: PROXIED }];

/// What stands below nodes.
pub(super) const BELOW_NODES: &[Subresource] =
    &[Subresource { name: "proxy", kind: "NodeProxyOptions", verbs: PROXIED }];

/// One for each method of HTTP that has a verb.
const PROXIED: &[&str] = &["create", "delete", "get", "patch", "update"];

/// What stands below service accounts.
pub(super) const BELOW_ACCOUNTS: &[Subresource] =
    &[Subresource { name: "token", kind: "TokenRequest", verbs: &["create"] }];

/// What stands below namespaces.
pub(super) const BELOW_NAMESPACES: &[Subresource] =
    &[Subresource { name: "finalize", kind: "Namespace", verbs: &["update"] }];
