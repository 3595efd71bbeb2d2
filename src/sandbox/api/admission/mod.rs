//! What stands between a well-formed write and the store, as admission plugins do.
//!
//! ```text
//! defaults ─ change ─ validation ─ check ─ the write
//! ```
//!
//! [`change`] may still alter the object, [`check`] only refuses. Both see the store in the
//! transaction of the write, also that of a controller: a quota binds everybody.

mod account;
mod limits;
mod pod_security;
mod priority;
pub mod quantity;
pub mod quota;
mod runtime_class;
mod webhook;

pub use webhook::IMAGE as SIDECAR_IMAGE;

use serde_json::Value;

use super::{
    access::{User, escalation},
    failure::Failure,
    resource::{PODS, Resource},
    store::Writer,
};

/// A write that asks to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// The object as it stands; `None` for a new one.
    pub before: Option<&'a Value>,
    /// Who writes; `None` for the cluster's own parts.
    pub user: Option<&'a User>,
}

/// Alters a new object that is about to be validated. Says whether it may have.
///
/// # Errors
/// What can't be completed: an account, or a class of priority or runtime, that isn't there.
pub fn change(
    writer: &Writer<'_>,
    object: &mut Value,
    attempt: &Attempt<'_>,
) -> Result<bool, Failure> {
    if attempt.resource != &PODS {
        return Ok(false);
    }
    account::complete(writer, object, attempt.namespace)?;
    priority::complete(writer, object)?;
    runtime_class::complete(writer, object)?;
    limits::complete(writer, object, attempt.namespace);
    webhook::mutate(writer, object);
    Ok(true)
}

/// Refuses an object that is valid, but not wanted. Gives warnings for one that is.
///
/// # Errors
/// 403 with the plugin's own words.
pub fn check(
    writer: &Writer<'_>,
    object: &Value,
    attempt: &Attempt<'_>,
) -> Result<Vec<String>, Failure> {
    if let Some(user) = attempt.user {
        escalation::check(writer, user, attempt.resource, object, attempt.before)?;
    }
    if attempt.resource == &PODS && attempt.before.is_none() {
        webhook::review(writer, object)?;
    }
    limits::check(writer, object, attempt)?;
    let warnings = pod_security::check(writer, object, attempt)?;
    quota::check(writer, object, attempt)?;
    Ok(warnings)
}

#[cfg(test)]
mod tests;
