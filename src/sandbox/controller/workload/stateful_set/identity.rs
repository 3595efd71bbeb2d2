//! Who a pod of a StatefulSet is: name, labels, host name, volumes.

use serde_json::{Value, json};

use super::super::{
    hands::controller_reference,
    pod::{from_template, mark},
    revision::HASH,
};
use crate::sandbox::api::{object::Object, resource::STATEFUL_SETS};

/// The ordinal in a pod's name, if the name is one of the set's.
pub(super) fn ordinal(set: &Value, pod: &str) -> Option<i64> {
    let number = pod.strip_prefix(set.name())?.strip_prefix('-')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit())
        && (number == "0" || !number.starts_with('0'));
    if plain { number.parse::<i32>().ok().map(i64::from) } else { None }
}

/// The name of a pod's claim by a template.
pub(super) fn claim_name(set: &Value, template: &str, ordinal: i64) -> String {
    format!("{template}-{}-{ordinal}", set.name())
}

/// The claim of a pod by a template.
pub(super) fn claim_of(set: &Value, template: &Value, name: &str) -> Value {
    let mut claim = json!({"metadata": template["metadata"], "spec": template["spec"]});
    let metadata = claim.metadata_mut();
    metadata.insert("name".into(), name.into());
    metadata.remove("creationTimestamp");
    let labels = set["spec"]["selector"]["matchLabels"].as_object();
    for (key, value) in labels.into_iter().flatten() {
        mark(&mut claim, "labels", key, value.as_str().unwrap_or_default());
    }
    if set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete" {
        let mut owner = controller_reference(&STATEFUL_SETS, set);
        if let Some(owner) = owner.as_object_mut() {
            owner.remove("blockOwnerDeletion");
        }
        claim.metadata_mut().insert("ownerReferences".into(), json!([owner]));
    }
    claim
}

/// The pod with an ordinal, by a revision's template.
pub(super) fn pod_of(set: &Value, template: &Value, revision: &str, ordinal: i64) -> Value {
    let name = format!("{}-{ordinal}", set.name());
    let mut pod = from_template(&STATEFUL_SETS, set, template, Some(&name));
    mark(&mut pod, "labels", "statefulset.kubernetes.io/pod-name", &name);
    mark(&mut pod, "labels", "apps.kubernetes.io/pod-index", &ordinal.to_string());
    mark(&mut pod, "labels", HASH, revision);
    let spec = pod.section_mut("spec");
    spec.insert("hostname".into(), name.into());
    if let Some(service) = set["spec"]["serviceName"].as_str().filter(|name| !name.is_empty()) {
        spec.insert("subdomain".into(), service.into());
    }
    let claims = set.items("/spec/volumeClaimTemplates");
    let mut volumes = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    // A volume of the template with a claim's name gives way.
    volumes.retain(|volume| claims.iter().all(|claim| claim.name() != volume.text("/name")));
    for claim in claims {
        let source = claim_name(set, claim.name(), ordinal);
        volumes.push(json!({
            "name": claim.name(), "persistentVolumeClaim": {"claimName": source},
        }));
    }
    if !volumes.is_empty() {
        spec.insert("volumes".into(), volumes.into());
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_set_have_ordinals() {
        let set = json!({"metadata": {"name": "db"}});
        for (name, expected) in [
            ("db-0", Some(0)),
            ("db-12", Some(12)),
            ("db-012", None),
            ("db-", None),
            ("db", None),
            ("db-x", None),
            ("dbx-1", None),
            ("db-1-2", None),
            ("db-99999999999", None),
        ] {
            assert_eq!(ordinal(&set, name), expected, "{name}");
        }
    }

    #[test]
    fn a_pod_knows_who_it_is() {
        let set = json!({
            "metadata": {"name": "db", "uid": "1"},
            "spec": {"serviceName": "dbs", "volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
        });
        let template = json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {"volumes": [{"name": "data"}, {"name": "other"}]},
        });
        let pod = pod_of(&set, &template, "db-abc", 2);
        assert_eq!(pod.name(), "db-2");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({
                "app": "db",
                "apps.kubernetes.io/pod-index": "2",
                "controller-revision-hash": "db-abc",
                "statefulset.kubernetes.io/pod-name": "db-2",
            })
        );
        assert_eq!(
            (&pod["spec"]["hostname"], &pod["spec"]["subdomain"]),
            (&json!("db-2"), &json!("dbs"))
        );
        assert_eq!(
            pod["spec"]["volumes"],
            json!([
                {"name": "other"},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2"}},
            ])
        );
    }
}
