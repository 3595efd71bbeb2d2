//! Which container of a pod a request is about.

use std::sync::Arc;

use serde_json::Value;

use super::{
    failure::Failure, http::Api, object::Object, request::Parameters, resource::PODS, write::Place,
};

/// The pod of a request and the container that it names or means.
///
/// # Errors
/// 404 without such a pod, 400 without such a container.
pub(super) fn named(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
) -> Result<(Arc<Value>, String), Failure> {
    let pod = api.store.get(&PODS, place.namespace, place.name);
    let pod = pod.ok_or_else(|| Failure::not_found(&PODS, place.name))?;
    let names: Vec<_> = pod
        .items("/spec/containers")
        .iter()
        .chain(pod.items("/spec/initContainers"))
        .chain(pod.items("/spec/ephemeralContainers"))
        .map(|container| container.text("/name").to_owned())
        .collect();
    let own = pod.items("/spec/containers").len();
    let name = match parameters.text("container") {
        "" if own == 1 => names[0].clone(),
        "" => {
            return Err(Failure::bad_request(format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                place.name,
                names[..own].join(" ")
            )));
        }
        name if names.iter().any(|known| known == name) => name.to_owned(),
        name => {
            let text = format!("container {name} is not valid for pod {}", place.name);
            return Err(Failure::bad_request(text));
        }
    };
    Ok((pod, name))
}
