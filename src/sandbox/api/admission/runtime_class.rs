//! Runtime classes: one that a pod names must be there, and says where its pods may run and
//! what they cost beside their containers.

use serde_json::{Map, Value};

use super::super::{
    failure::Failure,
    object::{Object, object_mut},
    resource::{PODS, RUNTIME_CLASSES},
    store::Writer,
};

/// Completes a pod by its class.
pub(super) fn complete(writer: &Writer<'_>, pod: &mut Value) -> Result<(), Failure> {
    let rejected = |pod: &Value, detail: &str| Failure::forbidden(&PODS, pod.name(), detail);
    let name = pod.text("/spec/runtimeClassName").to_owned();
    let class = writer.get(&RUNTIME_CLASSES, "", &name);
    if class.is_none() && !name.is_empty() {
        let detail = format!("pod rejected: RuntimeClass {name:?} not found");
        return Err(rejected(pod, &detail));
    }
    let fixed = class.as_ref().and_then(|class| class.pointer("/overhead/podFixed"));
    let stated = pod.pointer("/spec/overhead").and_then(Value::as_object);
    let stated = stated.filter(|stated| !stated.is_empty());
    match (fixed, stated) {
        (None, Some(_)) => {
            let detail = "pod rejected: Pod Overhead set without corresponding RuntimeClass \
                          defined Overhead";
            return Err(rejected(pod, detail));
        }
        (Some(fixed), Some(stated)) if fixed.as_object() != Some(stated) => {
            let detail = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined \
                          Overhead";
            return Err(rejected(pod, detail));
        }
        (Some(fixed), _) => {
            pod.section_mut("spec").insert("overhead".into(), fixed.clone());
        }
        (None, None) => {}
    }
    let Some(class) = class else { return Ok(()) };
    let wanted = class.pointer("/scheduling/nodeSelector").and_then(Value::as_object);
    for (key, value) in wanted.into_iter().flatten() {
        let known = pod["spec"]["nodeSelector"].get(key);
        if let Some(own) = known.filter(|own| *own != value) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let detail = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; \
                 pod.spec.nodeSelector[{key}] = {}",
                text(value),
                text(own)
            );
            return Err(rejected(pod, &detail));
        }
        let selector = pod.section_mut("spec").entry("nodeSelector");
        let selector = selector.or_insert_with(|| Map::new().into());
        object_mut(selector).insert(key.clone(), value.clone());
    }
    for toleration in class.items("/scheduling/tolerations") {
        if !pod.items("/spec/tolerations").contains(toleration) {
            let all = pod.section_mut("spec").entry("tolerations");
            if let Value::Array(all) = all.or_insert_with(|| Value::Array(Vec::new())) {
                all.push(toleration.clone());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::store::Store;

    #[test]
    fn a_pod_is_completed_by_its_class() {
        let store = Store::new();
        store.write(|writer| {
            writer.put(&RUNTIME_CLASSES, json!({"metadata": {"name": "plain"}, "handler": "p"}));
            writer.put(
                &RUNTIME_CLASSES,
                json!({"metadata": {"name": "kata"}, "handler": "kata",
                    "overhead": {"podFixed": {"cpu": "1"}}, "scheduling": {
                        "nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm"}]}}),
            );
        });
        let full = json!({"overhead": {"cpu": "1"}, "nodeSelector": {"vm": "yes", "a": "b"},
            "tolerations": [{"key": "vm"}]});
        for (spec, expected) in [
            (json!({}), Ok(json!({}))),
            (json!({"runtimeClassName": "plain"}), Ok(json!({}))),
            (json!({"runtimeClassName": "kata", "nodeSelector": {"a": "b"}}), Ok(full.clone())),
            (
                json!({"runtimeClassName": "kata", "nodeSelector": {"vm": "yes", "a": "b"},
                    "overhead": {"cpu": "1"}, "tolerations": [{"key": "vm"}]}),
                Ok(full),
            ),
            (
                json!({"runtimeClassName": "none"}),
                Err("pod rejected: RuntimeClass \"none\" not found"),
            ),
            (
                json!({"runtimeClassName": "kata", "nodeSelector": {"vm": "no"}}),
                Err("conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; \
                     pod.spec.nodeSelector[vm] = no"),
            ),
            (
                json!({"runtimeClassName": "kata", "overhead": {"cpu": "2"}}),
                Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
            ),
            (
                json!({"runtimeClassName": "plain", "overhead": {"cpu": "2"}}),
                Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined \
                     Overhead"),
            ),
        ] {
            let mut pod = json!({"metadata": {"name": "web"}, "spec": spec});
            let done = store.write(|writer| complete(writer, &mut pod));
            let done = done.map(|()| {
                object_mut(&mut pod["spec"]).remove("runtimeClassName");
                pod["spec"].clone()
            });
            let expected = expected.map_err(|text| format!("pods \"web\" is forbidden: {text}"));
            assert_eq!(done.map_err(|failure| failure.message), expected, "{spec}");
        }
    }
}
