//! The kinds of patch, and those that need no more than the object.

use serde_json::Value;

use super::{
    super::{failure::Failure, schema::Node},
    strategic::merge as strategic_merge,
};

/// How a patch's body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: an object that is laid over.
    Merge,
    /// As merge, but lists of objects are merged by their keys.
    Strategic,
    /// Server-side apply: the fields that a manager wants.
    Apply,
}

impl PatchKind {
    /// The kind for a `Content-Type`, which may carry parameters.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn of(content_type: &str) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            other => Err(Failure::unsupported_media_type(other)),
        }
    }
}

/// Applies a patch that needs no more than the object.
///
/// # Errors
/// 400 for a body that is no such patch, 422 for one that doesn't fit the object.
pub fn patched(
    kind: PatchKind,
    node: &Node,
    before: &Value,
    patch: Value,
) -> Result<Value, Failure> {
    let mut object = before.clone();
    match kind {
        PatchKind::Json => {
            let patch: json_patch::Patch = serde_json::from_value(patch)
                .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut object, &patch)
                .map_err(|error| Failure::unprocessable(format!("the patch: {error}")))?;
        }
        PatchKind::Merge => {
            check_is_object(&patch)?;
            json_patch::merge(&mut object, &patch);
        }
        PatchKind::Strategic => {
            check_is_object(&patch)?;
            strategic_merge(node, &mut object, patch).map_err(Failure::bad_request)?;
        }
        PatchKind::Apply => {
            return Err(Failure::internal("an apply needs a manager"));
        }
    }
    if object.is_object() && object["metadata"].is_object() {
        Ok(object)
    } else {
        Err(Failure::unprocessable("the patch leaves no object"))
    }
}

fn check_is_object(patch: &Value) -> Result<(), Failure> {
    if patch.is_object() {
        Ok(())
    } else {
        Err(Failure::bad_request("error decoding patch: it must be an object"))
    }
}
