//! What a write is told beside the object.

use serde_json::Value;

use super::super::{access::User, decode::FieldValidation, resource::Resource};

/// What a request says about its write, beside the object.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Do everything but the write.
    pub dry_run: bool,
    /// Who writes (`fieldManager`).
    pub manager: String,
    /// What happens to fields that the kind doesn't have.
    pub validation: FieldValidation,
    /// Who asks; `None` for the cluster's own parts.
    pub user: Option<User>,
    /// Who writes without saying so, by the user agent.
    pub agent: String,
    /// Which part is written: `status`, `scale`; empty for the object itself.
    pub subresource: &'static str,
    /// What the body states twice: `duplicate field "spec.replicas"`.
    pub duplicates: Vec<String>,
    /// The patch, if it is one that is laid over what is there.
    pub patch: Option<Value>,
    /// Whether it is a patch of any kind.
    pub is_patch: bool,
}

impl WriteOptions {
    /// Who is noted as the manager of what is written; nobody for the server's own writes.
    pub(super) fn author(&self) -> Option<&str> {
        let names = [self.manager.as_str(), self.agent.as_str()];
        names.into_iter().find(|name| !name.is_empty())
    }
}

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// Which part of the object an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but `status`, where the kind has that subresource.
    Main,
    /// `status` alone.
    Status,
}
