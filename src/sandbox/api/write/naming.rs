//! The place and the name of what is new.

use serde_json::Value;

use super::super::{
    failure::{Cause, Failure},
    names,
    object::Object,
    resource::Resource,
    store::Writer,
};

pub(super) fn place_in_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), Failure> {
    let stated = object.namespace();
    if resource.namespaced {
        if !stated.is_empty() && stated != namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        object.metadata_mut().insert("namespace".into(), namespace.into());
    } else {
        object.metadata_mut().remove("namespace");
    }
    Ok(())
}

/// Makes a name where only its beginning is given. Says whether it did.
pub(super) fn name_new(
    writer: &Writer<'_>,
    resource: &'static Resource,
    object: &mut Value,
) -> Result<bool, Failure> {
    if !object.name().is_empty() {
        return Ok(false);
    }
    let prefix = object.text("/metadata/generateName").to_owned();
    if prefix.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(resource, "", &[cause]));
    }
    let namespace = object.namespace().to_owned();
    for _ in 0..8 {
        let name = names::generate(&prefix);
        if writer.get(resource, &namespace, &name).is_none() {
            object.metadata_mut().insert("name".into(), name.into());
            return Ok(true);
        }
    }
    Err(Failure::already_exists(resource, &prefix))
}
