//! Terms of affinity: which nodes, which other pods, and how far they reach.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::super::workload::{Claims, selector_of};
use crate::{
    model::Labels,
    sandbox::api::{
        object::Object,
        selector::{Requirement, Selector},
    },
};

/// The labels of namespaces.
pub(super) type Namespaces = HashMap<String, Labels>;

/// Whether a pod may run on a node by its node selector and its required node affinity.
pub(super) fn node_fits(pod: &Value, node: &Value, labels: &Labels) -> bool {
    let selector = &pod["spec"]["nodeSelector"];
    if !selector.is_null() && !Selector::from_map(selector).matches(labels) {
        return false;
    }
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    required.is_null()
        || required.items("/nodeSelectorTerms").iter().any(|term| node_term(term, node, labels))
}

/// A term of a node affinity. An empty one fits nothing.
pub(super) fn node_term(term: &Value, node: &Value, labels: &Labels) -> bool {
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

/// A term of an affinity or anti-affinity to other pods.
#[derive(Clone, Debug)]
pub(super) struct PodTerm {
    /// `None` matches nothing.
    selector: Option<Claims>,
    namespaces: BTreeSet<String>,
    by_labels: Option<Claims>,
    /// The node label whose values make the places.
    pub key: String,
    /// What a preferred term is worth; the sign tells affinity from anti-affinity.
    pub weight: i64,
}

impl PodTerm {
    /// A term of a pod's own specification.
    fn of(pod: &Value, term: &Value, weight: i64) -> Self {
        let mut selector = term["labelSelector"].clone();
        let labels = pod.labels();
        for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            for key in term.items(&format!("/{field}")).iter().filter_map(Value::as_str) {
                if let Some(value) = labels.get(key)
                    && selector.is_object()
                {
                    let more = json!({"key": key, "operator": operator, "values": [value]});
                    match selector["matchExpressions"].as_array_mut() {
                        Some(list) => list.push(more),
                        None => selector["matchExpressions"] = json!([more]),
                    }
                }
            }
        }
        let mut namespaces: BTreeSet<_> = term
            .items("/namespaces")
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect();
        let by_labels = &term["namespaceSelector"];
        if namespaces.is_empty() && by_labels.is_null() {
            namespaces.insert(pod.namespace().to_owned());
        }
        Self {
            selector: if selector.is_null() { None } else { selector_of(&selector) },
            namespaces,
            by_labels: if by_labels.is_null() { None } else { selector_of(by_labels) },
            key: term.text("/topologyKey").to_owned(),
            weight,
        }
    }

    /// The required terms of a pod: `podAffinity` or `podAntiAffinity`.
    pub(super) fn required(pod: &Value, which: &str) -> Vec<Self> {
        let terms = &pod["spec"]["affinity"][which];
        let terms = terms.items("/requiredDuringSchedulingIgnoredDuringExecution");
        terms.iter().map(|term| Self::of(pod, term, 1)).collect()
    }

    /// The preferred terms of both kinds.
    pub(super) fn preferred(pod: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        for (which, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
            let terms = &pod["spec"]["affinity"][which];
            for term in terms.items("/preferredDuringSchedulingIgnoredDuringExecution") {
                let weight = term["weight"].as_i64().unwrap_or_default();
                found.push(Self::of(pod, &term["podAffinityTerm"], weight * sign));
            }
        }
        found
    }

    /// Whether a pod in a namespace is one of those that are meant.
    pub(super) fn matches(&self, namespace: &str, labels: &Labels, known: &Namespaces) -> bool {
        let there = self.namespaces.contains(namespace)
            || self.by_labels.as_ref().is_some_and(|claims| {
                known.get(namespace).is_some_and(|labels| claims.matches(labels))
            });
        there && self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// A constraint on how evenly pods are spread.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub key: String,
    pub max_skew: i64,
    pub min_domains: i64,
    /// It keeps pods off nodes; else it only prefers some.
    pub hard: bool,
    /// Nodes that the pod's node affinity rules out don't count.
    pub by_affinity: bool,
    /// Nodes whose taints the pod doesn't tolerate don't count.
    pub by_taints: bool,
    selector: Option<Claims>,
}

impl Spread {
    /// The constraints of a pod.
    pub(super) fn of(pod: &Value) -> Vec<Self> {
        let labels = pod.labels();
        let constraints = pod.items("/spec/topologySpreadConstraints").iter();
        constraints
            .map(|constraint| {
                let mut selector = constraint["labelSelector"].clone();
                for key in constraint.items("/matchLabelKeys").iter().filter_map(Value::as_str) {
                    if let Some(value) = labels.get(key)
                        && selector.is_object()
                    {
                        if !selector["matchLabels"].is_object() {
                            selector["matchLabels"] = json!({});
                        }
                        selector["matchLabels"][key] = value.clone().into();
                    }
                }
                Self {
                    key: constraint.text("/topologyKey").to_owned(),
                    max_skew: constraint["maxSkew"].as_i64().unwrap_or(1),
                    min_domains: constraint["minDomains"].as_i64().unwrap_or(1),
                    hard: constraint["whenUnsatisfiable"] != "ScheduleAnyway",
                    by_affinity: constraint["nodeAffinityPolicy"] != "Ignore",
                    by_taints: constraint["nodeTaintsPolicy"] == "Honor",
                    selector: if selector.is_null() { None } else { selector_of(&selector) },
                }
            })
            .collect()
    }

    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// Whether a list of tolerations tolerates a taint.
pub(in crate::sandbox::controller) fn tolerates(tolerations: &[Value], taint: &Value) -> bool {
    tolerations.iter().any(|toleration| {
        let key = toleration.text("/key");
        let effect = toleration.text("/effect");
        let exists = toleration.text("/operator") == "Exists";
        (key == taint.text("/key") || (key.is_empty() && exists))
            && (effect.is_empty() || effect == taint.text("/effect"))
            && (exists || toleration.text("/value") == taint.text("/value"))
    })
}

/// The first taint of a node that keeps a pod off it.
pub(super) fn untolerated<'a>(pod: &Value, node: &'a Value) -> Option<&'a Value> {
    let tolerations = pod.items("/spec/tolerations");
    let mut hard = node
        .items("/spec/taints")
        .iter()
        .filter(|taint| matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute")));
    hard.find(|taint| !tolerates(tolerations, taint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_go_where_they_may() {
        let node = json!({
            "metadata": {"name": "node-1", "labels": {"zone": "a", "cores": "4"}}, "spec": {},
        });
        let affinity = |terms: Value| {
            json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
            }}})
        };
        let label = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let name = |operator: &str, name: &str| {
            json!({"matchFields": [
                {"key": "metadata.name", "operator": operator, "values": [name]},
            ]})
        };
        for (message, spec, expected) in [
            ("no wish", json!({}), true),
            ("a label", json!({"nodeSelector": {"zone": "a"}}), true),
            ("another label", json!({"nodeSelector": {"zone": "b"}}), false),
            ("in", affinity(json!([label("zone", "In", json!(["a"]))])), true),
            ("not in", affinity(json!([label("zone", "NotIn", json!(["a"]))])), false),
            ("exists", affinity(json!([label("zone", "Exists", json!([]))])), true),
            ("does not exist", affinity(json!([label("zone", "DoesNotExist", json!([]))])), false),
            ("above", affinity(json!([label("cores", "Gt", json!(["3"]))])), true),
            ("below", affinity(json!([label("cores", "Lt", json!(["4"]))])), false),
            (
                "one of two terms",
                affinity(json!([label("zone", "In", json!(["b"])), name("In", "node-1")])),
                true,
            ),
            ("by name", affinity(json!([name("In", "node-2")])), false),
            ("not by name", affinity(json!([name("NotIn", "node-1")])), false),
            ("an empty term", affinity(json!([{}])), false),
        ] {
            let fits = node_fits(&json!({"spec": spec}), &node, &node.labels());
            assert_eq!(fits, expected, "{message}");
        }
    }

    #[test]
    fn taints_keep_off_who_does_not_tolerate_them() {
        let node = |effect: &str| json!({"spec": {"taints": [{"key": "only", "value": "db", "effect": effect}]}});
        for (tolerations, effect, expected) in [
            (json!([]), "NoSchedule", false),
            (json!([]), "NoExecute", false),
            (json!([]), "PreferNoSchedule", true),
            (json!([{"key": "only", "value": "db", "effect": "NoSchedule"}]), "NoSchedule", true),
            (json!([{"key": "only", "value": "db", "effect": "NoSchedule"}]), "NoExecute", false),
            (json!([{"key": "only", "operator": "Exists"}]), "NoExecute", true),
            (json!([{"operator": "Exists"}]), "NoSchedule", true),
            (json!([{"key": "only", "value": "web"}]), "NoSchedule", false),
            (json!([{"key": "other", "operator": "Exists"}]), "NoSchedule", false),
        ] {
            let pod = json!({"spec": {"tolerations": tolerations}});
            let fits = untolerated(&pod, &node(effect)).is_none();
            assert_eq!(fits, expected, "{effect}, tolerating {tolerations}");
        }
    }

    #[test]
    fn terms_reach_into_the_namespaces_that_they_name() {
        let known = Namespaces::from([
            ("shop".to_owned(), Labels::from([("team".to_owned(), "a".to_owned())])),
            ("lab".to_owned(), Labels::from([("team".to_owned(), "b".to_owned())])),
        ]);
        let web = Labels::from([("app".to_owned(), "web".to_owned())]);
        let matching = json!({"matchLabels": {"app": "web"}});
        for (message, mut term, shop, lab) in [
            ("its own", json!({}), true, false),
            ("by name", json!({"namespaces": ["lab"]}), false, true),
            ("all", json!({"namespaceSelector": {}}), true, true),
            ("by label", json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), false, true),
        ] {
            term["labelSelector"] = matching.clone();
            let pod = json!({"metadata": {"namespace": "shop"}});
            let term = PodTerm::of(&pod, &term, 1);
            let found = (term.matches("shop", &web, &known), term.matches("lab", &web, &known));
            assert_eq!(found, (shop, lab), "{message}");
        }
        let nothing = PodTerm::of(&json!({"metadata": {"namespace": "shop"}}), &json!({}), 1);
        assert!(!nothing.matches("shop", &web, &known), "no selector matches nothing");
    }
}
