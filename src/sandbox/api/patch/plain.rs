//! The kinds of patch, and those that need no more than the object.

use http::StatusCode;
use serde_json::Value;

use super::{
    super::{failure::Failure, object::Object, resource::Resource, schema::Node},
    operations,
    strategic::merge as strategic_merge,
};

/// The most operations that a JSON patch may have.
const MOST_OPERATIONS: usize = 10_000;

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
    /// The kind for a `Content-Type`, which may carry parameters. Custom resources have no
    /// strategic merge: only Go's types say how their lists are merged.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn of(content_type: &str, resource: &Resource) -> Result<Self, Failure> {
        const TYPES: [(&str, PatchKind); 4] = [
            ("application/json-patch+json", PatchKind::Json),
            ("application/merge-patch+json", PatchKind::Merge),
            ("application/strategic-merge-patch+json", PatchKind::Strategic),
            ("application/apply-patch+yaml", PatchKind::Apply),
        ];
        let given = content_type.split(';').next().unwrap_or_default().trim();
        let known = TYPES
            .iter()
            .filter(|(_, kind)| resource.is_builtin() || *kind != Self::Strategic)
            .copied();
        match known.clone().find(|(name, _)| *name == given) {
            Some((_, kind)) => Ok(kind),
            None => {
                let accepted: Vec<_> = known.map(|(name, _)| name).collect();
                Err(Failure::unsupported_media_type(&accepted))
            }
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
            let Value::Array(list) = &patch else {
                let wanted = "[]handlers.jsonPatchOp";
                return Err(undecodable("error decoding patch: ", &patch, wanted));
            };
            if list.len() > MOST_OPERATIONS {
                return Err(too_many(list.len()));
            }
            operations::apply(&mut object, list)?;
        }
        PatchKind::Merge => {
            check_is_object("error decoding patch: ", &patch)?;
            json_patch::merge(&mut object, &patch);
        }
        PatchKind::Strategic => {
            check_is_object("", &patch)?;
            strategic_merge(node, &mut object, patch)?;
        }
        PatchKind::Apply => {
            return Err(Failure::internal("an apply needs a manager"));
        }
    }
    let had_kind = !before.text("/kind").is_empty();
    if !object.is_object() || (had_kind && object.text("/kind").is_empty()) {
        let detail = format!("Object 'Kind' is missing in '{object}'");
        return Err(Failure::invalid_patch(&object, &detail));
    }
    // Whose name is gone is nobody.
    if object.name().is_empty() && !before.name().is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            before.name()
        )));
    }
    Ok(object)
}

fn check_is_object(prefix: &str, patch: &Value) -> Result<(), Failure> {
    if patch.is_object() {
        return Ok(());
    }
    Err(undecodable(prefix, patch, "map[string]interface {}"))
}

/// A patch of another JSON type, in the words of Go's decoder.
fn undecodable(prefix: &str, patch: &Value, wanted: &str) -> Failure {
    let found = match patch {
        Value::Null => {
            return Failure::bad_request(format!("{prefix}unexpected end of JSON input"));
        }
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Failure::bad_request(format!(
        "{prefix}json: cannot unmarshal {found} into Go value of type {wanted}"
    ))
}

fn too_many(count: usize) -> Failure {
    Failure {
        code: StatusCode::PAYLOAD_TOO_LARGE,
        reason: "RequestEntityTooLarge",
        message: format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is \
             {MOST_OPERATIONS}, got {count}"
        ),
        details: Value::Null,
    }
}
