//! From a request's body to the canonical form of its kind.

use serde_json::Value;

use super::{
    failure::Failure,
    object::{Object, object_mut},
    resource::Resource,
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
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the object provided is unrecognized (must be a map)"));
    }
    let expected = resource.api_version();
    for (field, expected, called) in
        [("apiVersion", expected.as_str(), "API version"), ("kind", resource.kind, "kind")]
    {
        let found = object.text(&format!("/{field}")).to_owned();
        if found.is_empty() {
            object_mut(&mut object).insert(field.into(), expected.into());
        } else if found != expected {
            return Err(Failure::bad_request(format!(
                "the {called} in the data ({found}) does not match the expected {called} \
                 ({expected})"
            )));
        }
    }
    let given = object.clone();
    let canonical = resource.canonical(object).map_err(|error| {
        Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {error}",
            kind = resource.kind,
            version = resource.version,
        ))
    })?;
    let mut unknown = Vec::new();
    if validation != FieldValidation::Ignore {
        find_unknown(&given, &canonical, "", &mut unknown);
    }
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            resource.version,
            resource.kind,
            unknown.join(", ")
        )));
    }
    Ok((canonical, unknown))
}

/// Fields that were given and are not in the canonical form.
fn find_unknown(given: &Value, canonical: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, canonical) {
        (Value::Object(given), Value::Object(canonical)) => {
            for (key, value) in given {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match canonical.get(key) {
                    Some(known) => find_unknown(value, known, &path, unknown),
                    None if value.is_null() || is_empty(value) => {}
                    None => unknown.push(format!("unknown field \"{path}\"")),
                }
            }
        }
        (Value::Array(given), Value::Array(canonical)) => {
            for (index, (given, canonical)) in given.iter().zip(canonical).enumerate() {
                find_unknown(given, canonical, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Empty lists and maps may vanish in canonical form without being unknown.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}
