//! The scheduler: every pod gets a node that it may run on, the one with the fewest pods.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{events::Recorder, reconcile::reconcile};
use crate::{
    model::Labels,
    sandbox::api::{
        conditions,
        object::Object,
        resource::{NODES, PODS},
        selector::{Requirement, Selector},
        store::{Event, Store, Writer},
    },
};

/// Assigns pods to nodes until cancelled.
pub async fn schedule(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        event.resource == &NODES
            || (event.resource == &PODS && event.object.text("/spec/nodeName").is_empty())
    }
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || store.write(|writer| pass(writer, &events))).await;
}

fn pass(writer: &mut Writer<'_>, events: &Recorder) {
    let nodes = writer.list(&NODES, None);
    let pods = writer.list(&PODS, None);
    let mut load = HashMap::<String, usize>::new();
    for pod in &pods {
        if !matches!(pod.text("/status/phase"), "Succeeded" | "Failed") {
            *load.entry(pod.text("/spec/nodeName").to_owned()).or_default() += 1;
        }
    }
    for pod in pods {
        let free = pod.text("/spec/nodeName").is_empty() && !pod.is_deleting();
        if !free || !pod.items("/spec/schedulingGates").is_empty() {
            continue;
        }
        let fitting = nodes.iter().filter(|node| fits(&pod, node));
        let best = fitting
            .min_by_key(|node| (load.get(node.name()).copied().unwrap_or_default(), node.name()));
        let mut assigned = Value::clone(&pod);
        match best {
            Some(node) => {
                *load.entry(node.name().to_owned()).or_default() += 1;
                assigned.section_mut("spec").insert("nodeName".into(), node.name().into());
                conditions::set(&mut assigned, "PodScheduled", true, "", "");
                let (namespace, name) = (pod.namespace(), pod.name());
                let place = format!("{namespace}/{name} to {}", node.name());
                events.normal(&pod, "Scheduled", format!("Successfully assigned {place}"));
            }
            None => {
                let count = nodes.len();
                let message = format!(
                    "0/{count} nodes are available: {count} node(s) didn't match Pod's node \
                     affinity/selector."
                );
                conditions::set(&mut assigned, "PodScheduled", false, "Unschedulable", &message);
            }
        }
        writer.put(&PODS, assigned);
    }
}

/// Whether a pod may run on a node: its node selector, its required node affinity, and
/// the node's taints.
fn fits(pod: &Value, node: &Value) -> bool {
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        return false;
    }
    let labels = node.labels();
    let selector = pod.pointer("/spec/nodeSelector").unwrap_or(&Value::Null);
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = pod.pointer(required).is_none_or(|required| {
        required.items("/nodeSelectorTerms").iter().any(|term| term_fits(term, &labels, node))
    });
    Selector::from_map(selector).matches(&labels) && affinity && tolerates(pod, node)
}

/// A term of a node affinity. An empty one fits nothing.
fn term_fits(term: &Value, labels: &Labels, node: &Value) -> bool {
    let fields = Labels::from([("metadata.name".to_owned(), node.name().to_owned())]);
    let all = |list: &[Value], on: &Labels| {
        list.iter().all(|expression| {
            Requirement::from_expression(expression).is_ok_and(|one| one.matches(on))
        })
    };
    let (expressions, names) = (term.items("/matchExpressions"), term.items("/matchFields"));
    let empty = expressions.is_empty() && names.is_empty();
    !empty && all(expressions, labels) && all(names, &fields)
}

fn tolerates(pod: &Value, node: &Value) -> bool {
    let taints = node.items("/spec/taints").iter();
    let mut hard = taints.filter(|taint| taint["effect"] != "PreferNoSchedule");
    hard.all(|taint| {
        pod.items("/spec/tolerations").iter().any(|toleration| {
            let key = toleration.text("/key");
            let effect = toleration.text("/effect");
            let exists = toleration.text("/operator") == "Exists";
            (key == taint.text("/key") || (key.is_empty() && exists))
                && (effect.is_empty() || effect == taint.text("/effect"))
                && (exists || toleration.text("/value") == taint.text("/value"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_go_where_they_may() {
        let node = json!({
            "metadata": {"name": "node-1", "labels": {"zone": "a", "cores": "4"}},
            "spec": {},
        });
        let affinity = |terms: Value| {
            json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
            }}})
        };
        let zone = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]});
        let name = |name: &str| {
            json!({"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [name]},
            ]})
        };
        for (message, spec, expected) in [
            ("no wish", json!({}), true),
            ("a label", json!({"nodeSelector": {"zone": "a"}}), true),
            ("another label", json!({"nodeSelector": {"zone": "b"}}), false),
            ("by expression", affinity(json!([zone("In", json!(["a"]))])), true),
            ("by another", affinity(json!([zone("NotIn", json!(["a"]))])), false),
            ("either", affinity(json!([zone("In", json!(["b"])), name("node-1")])), true),
            ("by name", affinity(json!([name("node-2")])), false),
            ("an empty term", affinity(json!([{}])), false),
            (
                "a number",
                affinity(json!([{"matchExpressions": [
                    {"key": "cores", "operator": "Gt", "values": ["3"]},
                ]}])),
                true,
            ),
        ] {
            assert_eq!(fits(&json!({"spec": spec}), &node), expected, "{message}");
        }
    }

    #[test]
    fn taints_keep_off_who_does_not_tolerate_them() {
        let node = json!({"metadata": {"name": "node-1"}, "spec": {"taints": [
            {"key": "only", "value": "db", "effect": "NoSchedule"},
        ]}});
        for (tolerations, expected) in [
            (json!([]), false),
            (json!([{"key": "only", "value": "db", "effect": "NoSchedule"}]), true),
            (json!([{"key": "only", "operator": "Exists"}]), true),
            (json!([{"operator": "Exists"}]), true),
            (json!([{"key": "only", "value": "web"}]), false),
        ] {
            let pod = json!({"spec": {"tolerations": tolerations}});
            assert_eq!(fits(&pod, &node), expected, "{tolerations}");
        }
    }

    #[test]
    fn pods_are_spread_and_those_that_fit_nowhere_say_so() {
        let store = Store::new();
        store.write(|writer| {
            for name in ["node-1", "node-2"] {
                writer.put(&NODES, json!({"metadata": {"name": name}}));
            }
            for name in ["a", "b", "c", "d"] {
                writer.put(&PODS, json!({"metadata": {"name": name, "namespace": "shop"}}));
            }
            let spec = json!({"nodeSelector": {"no": "where"}});
            writer
                .put(&PODS, json!({"metadata": {"name": "z", "namespace": "shop"}, "spec": spec}));
            pass(writer, &Recorder::deaf());
        });
        let (pods, _) = store.list(&PODS, None);
        let nodes: Vec<_> = pods.iter().map(|pod| pod.text("/spec/nodeName")).collect();
        assert_eq!(nodes, ["node-1", "node-2", "node-1", "node-2", ""]);
        let condition = &pods[4]["status"]["conditions"][0];
        assert_eq!(condition["reason"], "Unschedulable", "{condition}");
    }
}
