//! A container's environment variables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{hosts_file, links, made::counts_as_made};
use crate::sandbox::api::{
    admission::quantity::Quantity,
    object::Object,
    resource::{CONFIG_MAPS, NODES, SECRETS},
    store::Store,
};

/// A variable's source isn't there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct MissingSource(String);

/// The environment of a container. Later variables see earlier ones as `$(NAME)`.
pub(super) fn variables(
    store: &Store,
    pod: &Value,
    container: &Value,
) -> Result<BTreeMap<String, String>, MissingSource> {
    let mut variables = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("HOSTNAME".to_owned(), hosts_file::hostname(pod)),
    ]);
    variables.extend(links::variables(store, pod));
    for source in container.items("/envFrom") {
        let prefix = source.text("/prefix");
        for (key, resource) in [("configMapRef", &CONFIG_MAPS), ("secretRef", &SECRETS)] {
            let Some(reference) = source.get(key) else { continue };
            let name = reference.text("/name");
            match store.get(resource, pod.namespace(), name) {
                Some(object) => {
                    for key in object["data"].as_object().into_iter().flat_map(|data| data.keys()) {
                        if let Some(value) = data(&object, key) {
                            variables.insert(format!("{prefix}{key}"), value);
                        }
                    }
                }
                None if reference["optional"] == true => {}
                None if counts_as_made(store, resource, pod.namespace()) => {}
                None => {
                    let text = format!("{} \"{name}\" not found", resource.singular());
                    return Err(MissingSource(text));
                }
            }
        }
    }
    for variable in container.items("/env") {
        let name = variable.text("/name").to_owned();
        let value = match variable.get("valueFrom") {
            None => Some(expand(variable.text("/value"), &variables)),
            Some(source) => value_from(store, pod, container, source)?,
        };
        if let Some(value) = value {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

fn value_from(
    store: &Store,
    pod: &Value,
    container: &Value,
    source: &Value,
) -> Result<Option<String>, MissingSource> {
    if let Some(resource) = source.get("resourceFieldRef") {
        return Ok(Some(amount(store, pod, container, resource)));
    }
    if let Some(field) = source.get("fieldRef") {
        return Ok(Some(field_of(pod, field.text("/fieldPath"))));
    }
    for (key, resource) in [("configMapKeyRef", &CONFIG_MAPS), ("secretKeyRef", &SECRETS)] {
        let Some(reference) = source.get(key) else { continue };
        let (name, key) = (reference.text("/name"), reference.text("/key"));
        let object = store.get(resource, pod.namespace(), name);
        let value = object.as_ref().and_then(|object| data(object, key));
        if value.is_none() && reference["optional"] != true {
            if object.is_none() && counts_as_made(store, resource, pod.namespace()) {
                return Ok(Some(String::new()));
            }
            let (singular, kind) = (resource.singular(), resource.kind);
            return Err(MissingSource(match object {
                None => format!("{singular} \"{name}\" not found"),
                Some(_) => {
                    format!("couldn't find key {key} in {kind} {}/{name}", pod.namespace())
                }
            }));
        }
        return Ok(value);
    }
    Ok(None)
}

/// A request or limit, in whole divisors, rounded up. Without a limit it is what the node
/// offers.
fn amount(store: &Store, pod: &Value, container: &Value, reference: &Value) -> String {
    let name = reference.text("/containerName");
    let mut all = pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers"));
    let container = match name {
        "" => container,
        name => all.find(|one| one.text("/name") == name).unwrap_or(container),
    };
    let (kind, resource) = reference.text("/resource").split_once('.').unwrap_or_default();
    let of = |value: Option<&Value>| value.and_then(Quantity::read).unwrap_or_default();
    let stated = container.pointer("/resources").and_then(|all| all.get(kind)?.get(resource));
    let amount = match stated {
        None if kind == "limits" => {
            let node = store.get(&NODES, "", pod.text("/spec/nodeName"));
            let offered = node.as_ref().and_then(|node| node.pointer("/status/allocatable"));
            of(offered.and_then(|offered| offered.get(resource)))
        }
        stated => of(stated),
    };
    let divisor = Some(of(reference.get("divisor"))).filter(|divisor| !divisor.is_zero());
    amount.times(divisor.unwrap_or_else(|| Quantity::whole(1))).to_string()
}

/// A value of a ConfigMap or, decoded, of a Secret.
fn data(object: &Value, key: &str) -> Option<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = object.get("data")?.get(key)?.as_str()?;
    if object.text("/kind") != "Secret" {
        return Some(text.to_owned());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// A field of the pod, as `fieldPath` names it.
fn field_of(pod: &Value, path: &str) -> String {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = pod.pointer(&format!("/{}", map.replace('.', "/")));
        let value = map.and_then(|map| map.get(key)).and_then(Value::as_str);
        return value.unwrap_or_default().to_owned();
    }
    if let "status.podIPs" | "status.hostIPs" = path {
        let addresses = pod.items(&format!("/{}", path.replace('.', "/"))).iter();
        let addresses: Vec<_> = addresses.map(|address| address.text("/ip")).collect();
        return addresses.join(",");
    }
    pod.text(&format!("/{}", path.replace('.', "/"))).to_owned()
}

/// Replaces `$(NAME)` by the variable's value; `$$` is a dollar. What is unknown stays.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('$') {
        expanded.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
        } else if let Some((name, tail)) =
            rest.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dollars_are_expanded_as_kubernetes_does() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y", "x1y"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$A", "$A"),
            ("100$", "100$"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn variables_come_from_the_pod_and_from_config_maps() {
        let store = Store::new();
        store.write(|writer| {
            writer.put(
                &CONFIG_MAPS,
                json!({
                    "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "shop"},
                    "data": {"key": "value"},
                }),
            )
        });
        let pod = json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "w"}},
            "status": {"podIP": "10.0.0.1"},
        });
        let container = json!({"env": [
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "key"}}},
            {"name": "ALL", "value": "$(NAME)-$(IP)"},
        ]});
        let variables = variables(&store, &pod, &container).expect("all are there");
        for (name, expected) in [
            ("NAME", "web"),
            ("APP", "w"),
            ("IP", "10.0.0.1"),
            ("KEY", "value"),
            ("ALL", "web-10.0.0.1"),
            ("HOSTNAME", "web"),
        ] {
            assert_eq!(variables[name], expected, "{name}");
        }
        let amounts = json!({
            "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}},
            "env": [
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "MILLI", "valueFrom": {
                    "resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"},
                }},
                {"name": "MEMORY", "valueFrom": {
                    "resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"},
                }},
                {"name": "NONE", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
            ],
        });
        let found = super::variables(&store, &pod, &amounts).expect("all are there");
        for (name, expected) in [("CPU", "2"), ("MILLI", "1500"), ("MEMORY", "1024"), ("NONE", "0")]
        {
            assert_eq!(found[name], expected, "{name}");
        }
        let missing = json!({"env": [
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "key"}}},
        ]});
        assert!(super::variables(&store, &pod, &missing).is_err());
    }
}
