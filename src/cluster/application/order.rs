//! What is created when: Helm's hooks before and after the rest, and within each wave one
//! kind after the other.

use super::{Application, HOOK, Part, WEIGHT, name_of, text};

/// Kinds in the order in which Helm installs them; CustomResourceDefinitions earlier, for
/// the objects of the kinds that they define. Other kinds come last.
const ORDER: [&str; 33] = [
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "EndpointSlice",
    "Endpoints",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "Lease",
];

/// Puts an object into its wave, or leaves it out with a note.
pub(super) fn place(application: &mut Application, part: Part) {
    let annotations = part.object.pointer("/metadata/annotations");
    let hook = annotations.and_then(|annotations| annotations.get(HOOK)?.as_str());
    let Some(wave) = wave(hook) else {
        let what =
            format!("{} is a hook ({}) and is left out", name_of(&part.object), hook.unwrap_or(""));
        application.notes.push(what);
        return;
    };
    let wave = &mut application.waves[wave];
    let rank = rank(&part);
    // What stands earlier stays earlier among its equals.
    let place = wave.partition_point(|known| self::rank(known) <= rank);
    wave.insert(place, part);
}

/// 0 before an installation, 1 of it, 2 after it; none for what belongs to no installation.
fn wave(hook: Option<&str>) -> Option<usize> {
    let Some(hook) = hook else { return Some(1) };
    let events: Vec<_> = hook.split(',').map(str::trim).collect();
    let has = |wanted: &[&str]| wanted.iter().any(|wanted| events.contains(wanted));
    match () {
        () if has(&["pre-install", "crd-install"]) => Some(0),
        () if has(&["post-install"]) => Some(2),
        () => None,
    }
}

fn rank(part: &Part) -> (i64, usize) {
    let annotations = part.object.pointer("/metadata/annotations");
    let weight = annotations.and_then(|annotations| annotations.get(WEIGHT)?.as_str());
    let weight = weight.and_then(|weight| weight.parse().ok());
    let kind = text(&part.object, "/kind");
    let kind = ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len());
    (weight.unwrap_or(0), kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hooks_and_kinds_have_their_turn() {
        let mut application = Application::default();
        for (kind, name, hook, weight) in [
            ("Widget", "w", "", ""),
            ("Deployment", "d", "", ""),
            ("Service", "s2", "", ""),
            ("Service", "s1", "", ""),
            ("CustomResourceDefinition", "c", "", ""),
            ("Namespace", "n", "", ""),
            ("Job", "late", "pre-install,pre-upgrade", "5"),
            ("ServiceAccount", "early", "pre-install", "-5"),
            ("Job", "after", "post-install", ""),
            ("Pod", "test", "test", ""),
            ("Pod", "old-test", "test-success", ""),
            ("Job", "bye", "pre-delete", ""),
        ] {
            let mut object = json!({"kind": kind, "metadata": {"name": name}});
            if !hook.is_empty() {
                object["metadata"]["annotations"] = json!({HOOK: hook, WEIGHT: weight});
            }
            place(&mut application, Part { object, source: String::new() });
        }
        let names = application.waves.each_ref().map(|wave| {
            let names: Vec<_> =
                wave.iter().map(|part| text(&part.object, "/metadata/name")).collect();
            names.join(" ")
        });
        assert_eq!(names, ["early late", "n c s2 s1 d w", "after"]);
        assert_eq!(
            application.notes,
            [
                "Pod test is a hook (test) and is left out",
                "Pod old-test is a hook (test-success) and is left out",
                "Job bye is a hook (pre-delete) and is left out",
            ]
        );
    }
}
