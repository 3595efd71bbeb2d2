//! A pod as the checks look at it, and the words that they share.

use serde_json::Value;

use super::{super::super::object::Object, Violation};

/// A pod's metadata and specification.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Pod<'a> {
    pub(in super::super) fn new(metadata: &'a Value, spec: &'a Value) -> Self {
        Self { metadata, spec }
    }

    /// Containers of all three lists.
    pub(super) fn containers(self) -> impl Iterator<Item = &'a Value> + Clone {
        let list = |pointer: &str| self.spec.items(pointer).iter();
        list("/initContainers").chain(list("/containers")).chain(list("/ephemeralContainers"))
    }

    /// The names of containers of which something holds.
    pub(super) fn named(self, holds: impl Fn(&Value) -> bool) -> Vec<String> {
        let found = self.containers().filter(|container| holds(container));
        found.map(|container| container.text("/name").to_owned()).collect()
    }

    /// Whether the pod has a user namespace of its own.
    pub(super) fn has_own_users(self) -> bool {
        self.spec["hostUsers"] == false
    }

    pub(super) fn is_windows(self) -> bool {
        self.spec.text("/os/name") == "windows"
    }
}

/// A field of a security context, if it says something.
pub(super) fn context<'a>(of: &'a Value, field: &str) -> Option<&'a Value> {
    of.get("securityContext")?.get(field).filter(|value| !value.is_null())
}

pub(super) fn violation(reason: impl Into<String>, detail: impl Into<String>) -> Option<Violation> {
    Some(Violation { reason: reason.into(), detail: detail.into() })
}

pub(super) fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `"a", "b"`
pub(super) fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`
pub(super) fn containers(names: &[String]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// `pod and container "a"`: who sets what mustn't be set.
pub(super) fn setters(pod: bool, names: &[String]) -> String {
    let mut setters = Vec::new();
    if pod {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(containers(names));
    }
    setters.join(" and ")
}
