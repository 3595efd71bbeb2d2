//! Priority classes: a pod's number comes from its class.

use serde_json::{Value, json};

use super::super::{
    failure::Failure,
    object::Object,
    resource::{PODS, PRIORITY_CLASSES},
    store::Writer,
};

/// Fills in a pod's priority.
pub(super) fn complete(writer: &Writer<'_>, pod: &mut Value) -> Result<(), Failure> {
    let name = pod.text("/spec/priorityClassName").to_owned();
    let classes = writer.list(&PRIORITY_CLASSES, None);
    let class = if name.is_empty() {
        classes.iter().find(|class| class["globalDefault"] == true)
    } else {
        classes.iter().find(|class| class.name() == name)
    };
    let (value, policy) = match class {
        Some(class) => (class["value"].clone(), class.text("/preemptionPolicy")),
        None if name.is_empty() => (json!(0), ""),
        None => {
            let detail = format!("no PriorityClass with name {name} was found");
            return Err(Failure::forbidden(&PODS, pod.name(), &detail));
        }
    };
    let policy = if policy.is_empty() { "PreemptLowerPriority" } else { policy };
    let policy = policy.to_owned();
    let chosen = class.map(|class| class.name().to_owned()).unwrap_or_default();
    let spec = pod.section_mut("spec");
    if name.is_empty() && !chosen.is_empty() {
        spec.insert("priorityClassName".into(), chosen.into());
    }
    spec.insert("priority".into(), value);
    spec.entry("preemptionPolicy").or_insert_with(|| policy.into());
    Ok(())
}
