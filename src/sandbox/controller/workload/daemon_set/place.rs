//! Where a DaemonSet's pod belongs, and what it bears there.

use serde_json::{Value, json};

use crate::sandbox::api::object::Object;

/// What the pods of DaemonSets tolerate, with the effects.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// What those with their node's network tolerate as well.
const HOST_TOLERATED: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The node that a pod is on, or that it is meant for.
pub(super) fn node_of(pod: &Value) -> &str {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if !node.is_empty() {
        return node;
    }
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let terms = affinity.items("/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    let fields = terms.iter().flat_map(|term| term.items("/matchFields"));
    let mut names = fields.filter(|field| field["key"] == "metadata.name");
    names.next().and_then(|field| field["values"][0].as_str()).unwrap_or_default()
}

/// The set's template with the tolerations that its pods get, as a pod.
pub(super) fn with_tolerations(set: &Value) -> Value {
    let mut pod = set["spec"]["template"].clone();
    pod.metadata_mut().insert("namespace".into(), set.namespace().into());
    let shares = pod["spec"]["hostNetwork"] == true;
    let spec = pod.section_mut("spec");
    let tolerations = spec.entry("tolerations").or_insert(Value::Null);
    if !tolerations.is_array() {
        *tolerations = json!([]);
    }
    let more = TOLERATED.into_iter().chain(shares.then_some(HOST_TOLERATED));
    for (key, effect) in more {
        let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
        if let Some(list) = tolerations.as_array_mut()
            && !list.contains(&toleration)
        {
            list.push(toleration);
        }
    }
    pod
}

/// Lets a pod run on one node only.
pub(super) fn pin(pod: &mut Value, node: &str) {
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let affinity = pod.section_mut("spec").entry("affinity").or_insert(Value::Null);
    if !affinity.is_object() {
        *affinity = json!({});
    }
    let key = "requiredDuringSchedulingIgnoredDuringExecution";
    let required = &mut affinity["nodeAffinity"][key];
    // What the template asks for of nodes has been looked at by now.
    *required = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_meant_for_one_node_and_tolerates_its_troubles() {
        let set = json!({"metadata": {"namespace": "shop"}, "spec": {"template": {"spec": {
            "hostNetwork": true,
            "tolerations": [{"operator": "Exists", "key": "mine"}],
            "affinity": {"podAffinity": {}},
        }}}});
        let mut pod = with_tolerations(&set);
        assert_eq!(pod.items("/spec/tolerations").len(), 8);
        pin(&mut pod, "node-2");
        assert_eq!(node_of(&pod), "node-2");
        assert_eq!(pod["spec"]["affinity"]["podAffinity"], json!({}), "the rest stays");
    }
}
