//! The subresource `scale`: how many, without knowing of what.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    failure::{Cause, Failure},
    object::{Object, object_mut},
    patch::{self, PatchKind},
    resource::Resource,
    schema::Node,
    store::Store,
    write::{self, Part, Place, WriteOptions},
};

/// Whether a kind can be scaled.
pub fn is_scalable(resource: &Resource) -> bool {
    resource.scale
}

/// Where a kind keeps its numbers, as JSON pointers.
struct Places {
    wanted: String,
    present: String,
    selector: String,
}

impl Places {
    fn of(resource: &Resource) -> Self {
        let custom = resource.definition();
        let custom = custom.and_then(|custom| custom.version.pointer("/subresources/scale"));
        let place = |field: &str, usual: &str| match custom {
            // `.spec.replicas`: a path of plain names, as the definition's validation asks.
            Some(scale) => scale.text(&format!("/{field}")).replace('.', "/"),
            None => usual.to_owned(),
        };
        Self {
            wanted: place("specReplicasPath", "/spec/replicas"),
            present: place("statusReplicasPath", "/status/replicas"),
            selector: place("labelSelectorPath", "/spec/selector"),
        }
    }
}

/// How many an object of a kind that can be scaled is to have.
pub fn wanted(resource: &Resource, object: &Value) -> i64 {
    let place = Places::of(resource).wanted;
    object.pointer(&place).and_then(Value::as_i64).unwrap_or_default()
}

/// Reads the scale of an object.
///
/// # Errors
/// 404 for an object that isn't there or can't be scaled.
pub fn get(store: &Store, place: Place<'_>) -> Result<Value, Failure> {
    check(place.resource)?;
    let object = store.get(place.resource, place.namespace, place.name);
    let object = object.ok_or_else(|| Failure::not_found(place.resource, place.name))?;
    Ok(scale(place.resource, &object))
}

fn check(resource: &Resource) -> Result<(), Failure> {
    if resource.scale { Ok(()) } else { Err(Failure::no_such_path()) }
}

/// Changes the scale of an object, by a whole Scale or by a patch of one.
///
/// # Errors
/// Whatever the API server would refuse it for.
pub fn change(
    store: &Store,
    place: Place<'_>,
    options: &WriteOptions,
    patch: Option<PatchKind>,
    body: Value,
) -> Result<(StatusCode, Value), Failure> {
    check(place.resource)?;
    let resource = place.resource;
    let written = write::update(store, place, Part::Main, options, |before| {
        let wanted = match patch {
            // An apply states the fields that it wants; for this small kind that is a merge.
            Some(PatchKind::Apply) => {
                patch::patched(PatchKind::Merge, &Node::Any, &scale(resource, before), body)?
            }
            Some(kind) => patch::patched(kind, &Node::Any, &scale(resource, before), body)?,
            None => body,
        };
        let replicas = replicas(place, &wanted)?;
        let version = wanted.text("/metadata/resourceVersion");
        if !version.is_empty() && version != before.text("/metadata/resourceVersion") {
            return Err(Failure::modified(place.resource, place.name));
        }
        let uid = wanted.uid();
        if !uid.is_empty() && uid != before.uid() {
            let detail = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                before.uid()
            );
            return Err(Failure::conflict(place.resource, place.name, &detail));
        }
        let mut after = before.clone();
        put(&mut after, &Places::of(resource).wanted, replicas.into());
        Ok(after)
    })?;
    Ok((StatusCode::OK, scale(resource, &written.object)))
}

/// Sets what stands at a JSON pointer, with everything above it.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        place = object_mut(place).entry(step).or_insert(Value::Null);
    }
    *place = value;
}

/// How many a Scale asks for. Nothing said is none at all, as in Kubernetes.
fn replicas(place: Place<'_>, wanted: &Value) -> Result<i64, Failure> {
    let stated = &wanted["spec"]["replicas"];
    if !(stated.is_null() || stated.as_i64().is_some_and(|number| i32::try_from(number).is_ok())) {
        return Err(Failure::bad_request(format!(
            "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal {stated} \
             into Go struct field ScaleSpec.spec.replicas of type int32"
        )));
    }
    let name = wanted.name();
    if !name.is_empty() && name != place.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    let number = stated.as_i64().unwrap_or_default();
    if number < 0 {
        let message = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", stated, message);
        let mut failure = Failure::invalid(place.resource, place.name, &[cause]);
        failure.message = format!(
            "Scale.autoscaling \"{}\" is invalid: spec.replicas: Invalid value: {number}: {message}",
            place.name
        );
        failure.details["group"] = "autoscaling".into();
        failure.details["kind"] = "Scale".into();
        return Err(failure);
    }
    Ok(number)
}

/// The Scale of an object.
fn scale(resource: &Resource, object: &Value) -> Value {
    let places = Places::of(resource);
    let number =
        |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let replicas = number(&places.wanted);
    let mut status = json!({"replicas": number(&places.present)});
    // A definition needn't say where the selector is; an empty pointer is the whole object.
    let stated = object.pointer(&places.selector).filter(|_| !places.selector.is_empty());
    let selector = match stated {
        Some(Value::String(text)) => text.clone(),
        selector => selector_text(selector.unwrap_or(&Value::Null)),
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
        "spec": if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) },
        "status": status,
    })
}

/// A selector, or the plain map of a ReplicationController, in the text form of requests.
fn selector_text(selector: &Value) -> String {
    let labels = if selector.get("matchLabels").or(selector.get("matchExpressions")).is_some() {
        &selector["matchLabels"]
    } else {
        selector
    };
    let pairs = labels.as_object().into_iter().flatten();
    let mut parts: Vec<_> = pairs
        .filter_map(|(key, value)| Some((key.clone(), format!("{key}={}", value.as_str()?))))
        .collect();
    for expression in selector.items("/matchExpressions") {
        let key = expression.text("/key").to_owned();
        let mut values: Vec<_> =
            expression.items("/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let text = match expression.text("/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        };
        parts.push((key, text));
    }
    parts.sort();
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_told_as_text() {
        for (selector, expected) in [
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (json!({"app": "web"}), "app=web"),
            (
                json!({"matchExpressions": [
                    {"key": "z", "operator": "Exists"},
                    {"key": "a", "operator": "NotIn", "values": ["y", "x"]},
                ]}),
                "a notin (x,y),z",
            ),
            (Value::Null, ""),
        ] {
            assert_eq!(selector_text(&selector), expected, "{selector}");
        }
    }
}
