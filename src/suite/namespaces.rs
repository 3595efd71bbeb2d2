//! From the aliases of a suite's namespaces to the names that a run gives them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The label that every namespace carries its own name in.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Replaces namespace aliases in an object by real names.
///
/// That is: `metadata.namespace`, a Namespace's own name, selectors on
/// `kubernetes.io/metadata.name`, the subjects of RoleBindings, and `${namespace:alias}`
/// in any text. Whatever is no alias stays as it is.
pub fn rewrite_namespaces(object: &mut Value, names: &BTreeMap<String, String>) {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(metadata) = object.get_mut("metadata") {
        rename(metadata.get_mut("namespace"), names);
        if kind == "Namespace" {
            rename(metadata.get_mut("name"), names);
        }
    }
    if kind == "RoleBinding" || kind == "ClusterRoleBinding" {
        let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
        for subject in subjects.into_iter().flatten() {
            rename(subject.get_mut("namespace"), names);
        }
    }
    walk(object, names);
}

/// Replaces `${namespace:alias}` in a text, such as the name of a
/// [`Peer::Host`](super::Peer::Host), by the alias's real name.
pub fn replace_namespace_references(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut replaced = text.to_owned();
    if text.contains("${namespace:") {
        for (alias, name) in names {
            replaced = replaced.replace(&format!("${{namespace:{alias}}}"), name);
        }
    }
    replaced
}

/// The aliases that `${namespace:…}` names in a text.
pub(super) fn namespace_references(text: &str) -> impl Iterator<Item = &str> {
    text.split("${namespace:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn rename(value: Option<&mut Value>, names: &BTreeMap<String, String>) {
    if let Some(Value::String(text)) = value
        && let Some(name) = names.get(text.as_str())
    {
        name.clone_into(text);
    }
}

fn walk(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) if text.contains("${namespace:") => {
            *text = replace_namespace_references(text, names);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, names)),
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match (key.as_str(), &mut *field) {
                    ("matchLabels", Value::Object(labels)) => {
                        rename(labels.get_mut(NAME_LABEL), names);
                    }
                    ("matchExpressions", Value::Array(requirements)) => {
                        for requirement in requirements {
                            rewrite_requirement(requirement, names);
                        }
                    }
                    _ => {}
                }
                walk(field, names);
            }
        }
        _ => {}
    }
}

fn rewrite_requirement(requirement: &mut Value, names: &BTreeMap<String, String>) {
    if requirement.get("key").and_then(Value::as_str) == Some(NAME_LABEL) {
        let values = requirement.get_mut("values").and_then(Value::as_array_mut);
        values.into_iter().flatten().for_each(|value| rename(Some(value), names));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn aliases_become_names_where_kubernetes_means_a_namespace_and_nowhere_else() {
        let names = BTreeMap::from([("shop".into(), "np-x-shop".into())]);
        for (place, before, after) in [
            (
                "metadata.namespace",
                json!({"kind": "Service", "metadata": {"name": "shop", "namespace": "shop"}}),
                json!({"kind": "Service", "metadata": {"name": "shop", "namespace": "np-x-shop"}}),
            ),
            (
                "a Namespace's name",
                json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
                json!({"kind": "Namespace", "metadata": {"name": "np-x-shop"}}),
            ),
            (
                "selectors on the name label",
                json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "shop", "app": "shop"},
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "In",
                         "values": ["shop", "kube-system"]},
                        {"key": "app", "operator": "In", "values": ["shop"]},
                    ],
                }}]}]}}),
                json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "np-x-shop", "app": "shop"},
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "In",
                         "values": ["np-x-shop", "kube-system"]},
                        {"key": "app", "operator": "In", "values": ["shop"]},
                    ],
                }}]}]}}),
            ),
            (
                "subjects of a RoleBinding",
                json!({"kind": "RoleBinding", "subjects": [{"name": "shop", "namespace": "shop"}]}),
                json!({"kind": "RoleBinding",
                       "subjects": [{"name": "shop", "namespace": "np-x-shop"}]}),
            ),
            (
                "references in any text",
                json!({"data": {"url": "http://web.${namespace:shop}:80/${namespace:other}"}}),
                json!({"data": {"url": "http://web.np-x-shop:80/${namespace:other}"}}),
            ),
            (
                "other namespaces",
                json!({"metadata": {"namespace": "kube-system"}}),
                json!({"metadata": {"namespace": "kube-system"}}),
            ),
        ] {
            let mut object = before;
            rewrite_namespaces(&mut object, &names);
            assert_eq!(object, after, "{place}");
        }
    }

    #[test]
    fn references_are_found_in_texts() {
        let found: Vec<&str> =
            namespace_references("a ${namespace:b} ${namespace:} ${namespace:c").collect();
        assert_eq!(found, ["b", ""]);
    }
}
