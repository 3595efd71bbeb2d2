//! Variables that tell a container of the Services, as they did before there were names.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::api::{object::Object, resource::SERVICES, store::Store};

/// The variables of the API's Service, and, unless the pod wants none, of all Services of
/// its own namespace.
pub(super) fn variables(store: &Store, pod: &Value) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let (mut services, _) = store.list(&SERVICES, Some(pod.namespace()));
    if pod.pointer("/spec/enableServiceLinks") == Some(&Value::Bool(false)) {
        services.clear();
    }
    // A Service of the same name in the pod's own namespace wins.
    let api = store.get(&SERVICES, "default", "kubernetes");
    for service in api.into_iter().chain(services) {
        let address = service.text("/spec/clusterIP");
        if !address.is_empty() && address != "None" {
            add(&mut variables, &service, address);
        }
    }
    variables
}

fn add(variables: &mut BTreeMap<String, String>, service: &Value, address: &str) {
    let shout = |text: &str| text.to_uppercase().replace('-', "_");
    let name = shout(service.name());
    let mut set = |key: String, value: String| _ = variables.insert(key, value);
    set(format!("{name}_SERVICE_HOST"), address.to_owned());
    for (index, port) in service.items("/spec/ports").iter().enumerate() {
        let number = port["port"].as_u64().unwrap_or_default();
        let protocol = port.text("/protocol");
        let lower = protocol.to_lowercase();
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("{lower}://{host}:{number}");
        if index == 0 {
            set(format!("{name}_SERVICE_PORT"), number.to_string());
            set(format!("{name}_PORT"), url.clone());
        }
        let port_name = port.text("/name");
        if !port_name.is_empty() {
            set(format!("{name}_SERVICE_PORT_{}", shout(port_name)), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        set(prefix.clone(), url);
        set(format!("{prefix}_PROTO"), lower);
        set(format!("{prefix}_PORT"), number.to_string());
        set(format!("{prefix}_ADDR"), address.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_of_the_namespace_and_the_api_are_told() {
        let store = Store::new();
        store.write(|writer| {
            for (namespace, name, address, port) in [
                ("default", "kubernetes", "10.96.0.1", 443),
                ("shop", "my-db", "10.96.0.20", 5432),
                ("shop", "headless", "None", 80),
                ("other", "web", "10.96.0.21", 80),
            ] {
                writer.put(
                    &SERVICES,
                    json!({
                        "metadata": {"name": name, "namespace": namespace},
                        "spec": {"clusterIP": address, "ports": [
                            {"name": "main", "port": port, "protocol": "TCP"},
                        ]},
                    }),
                );
            }
        });
        let of = |spec: Value| {
            let pod = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
            variables(&store, &pod)
        };
        let all = of(json!({}));
        for (name, expected) in [
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("MY_DB_SERVICE_HOST", "10.96.0.20"),
            ("MY_DB_SERVICE_PORT_MAIN", "5432"),
            ("MY_DB_PORT", "tcp://10.96.0.20:5432"),
            ("MY_DB_PORT_5432_TCP_ADDR", "10.96.0.20"),
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some(expected), "{name}");
        }
        let others =
            all.keys().filter(|name| name.starts_with("WEB") || name.starts_with("HEADLESS"));
        assert_eq!(others.count(), 0);
        let few = of(json!({"enableServiceLinks": false}));
        assert!(few.contains_key("KUBERNETES_SERVICE_HOST") && !few.contains_key("MY_DB_PORT"));
    }
}
