//! From a request's body to the canonical form of its kind.

use serde_json::Value;

use super::{
    failure::{Cause, Failure},
    object::{Object, object_mut},
    resource::Resource,
    write::WriteOptions,
};

/// What happens to fields that the kind doesn't have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the answer carries a warning for each.
    #[default]
    Warn,
    /// They are a 400.
    Strict,
}

/// Brings a body into the canonical form of its kind.
///
/// # Errors
/// 400 for another kind, fields of a wrong type, and, if strict, unknown fields.
pub fn decode(
    resource: &Resource,
    mut object: Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the object provided is unrecognized (must be a map)"));
    }
    let expected = resource.api_version();
    for (field, expected, called) in
        [("apiVersion", expected.as_str(), "API version"), ("kind", resource.kind, "kind")]
    {
        let found = object.text(&format!("/{field}")).to_owned();
        let custom = resource.definition().is_some();
        if custom && options.is_patch && found != expected {
            let cause = Cause::invalid(field, &found.into(), &format!("must be {expected}"));
            return Err(Failure::invalid_kind(resource, &object, cause));
        }
        if custom && field == "kind" && !found.is_empty() && found != expected {
            let cause = Cause::invalid(field, &found.into(), &format!("must be {expected}"));
            return Err(Failure::invalid_kind(resource, &object, cause));
        }
        if found.is_empty() && !custom {
            object_mut(&mut object).insert(field.into(), expected.into());
        } else if found != expected {
            return Err(Failure::bad_request(format!(
                "the {called} in the data ({found}) does not match the expected {called} \
                 ({expected})"
            )));
        }
    }
    let refuse = |detail: String| match &options.patch {
        Some(patch) => Failure::invalid_patch(patch, &detail),
        None => Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {detail}",
            kind = resource.kind,
            version = resource.version,
        )),
    };
    let (canonical, unknown) =
        resource.canonical(object).map_err(|error| refuse(error.to_string()))?;
    let mut unknown = unknown;
    if resource.definition().is_some() {
        // Its metadata is read first.
        unknown.sort_by_key(|path| !path.starts_with("metadata."));
    }
    let mut warnings = options.duplicates.clone();
    warnings.extend(unknown.into_iter().map(|path| format!("unknown field \"{path}\"")));
    match options.validation {
        FieldValidation::Ignore => Ok((canonical, Vec::new())),
        FieldValidation::Strict if !warnings.is_empty() => {
            Err(refuse(format!("strict decoding error: {}", warnings.join(", "))))
        }
        _ => Ok((canonical, warnings)),
    }
}
