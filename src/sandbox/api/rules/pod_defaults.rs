//! The defaults that the API server fills into pods and into templates of pods.

use serde_json::{Map, Value, json};

use super::{
    super::object::{Object, object_mut},
    table::fill,
};

/// Who may read a file that comes of an object: `0644`.
const FILE_MODE: u16 = 0o644;
/// How long a projected token lives, in seconds.
const TOKEN_LIFE: u16 = 3600;

/// A pod's defaults: those of a template, and what is settled only when a pod is made.
pub(in super::super) fn default(pod: &mut Value) {
    let spec = pod.section_mut("spec");
    default_spec(spec);
    fill(spec, "enableServiceLinks", true);
    let account = spec.get("serviceAccountName").or(spec.get("serviceAccount"));
    let account = account.and_then(Value::as_str).filter(|name| !name.is_empty());
    let account = account.unwrap_or("default").to_owned();
    spec.insert("serviceAccountName".into(), account.clone().into());
    spec.insert("serviceAccount".into(), account.into());
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            request_limits(container);
            if on_host {
                take_host_ports(object_mut(container));
            }
        }
    }
}

/// What a pod's specification has in common with that of a template.
pub(super) fn default_spec(spec: &mut Map<String, Value>) {
    fill(spec, "restartPolicy", "Always");
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "schedulerName", "default-scheduler");
    fill(spec, "securityContext", json!({}));
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            default_container(object_mut(container));
        }
    }
    for volume in items(spec, "volumes") {
        default_volume(object_mut(volume));
    }
}

/// The items of a list in an object.
fn items<'v>(map: &'v mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'v mut Value> {
    map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn map_of<'v>(map: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

/// Who limits itself and requests nothing requests its limit.
fn request_limits(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else {
        return;
    };
    for (resource, amount) in limits.into_iter().flatten() {
        let requests = resources.entry("requests").or_insert_with(|| json!({}));
        object_mut(requests).entry(resource).or_insert(amount);
    }
}

/// On the node's network a port is the node's own.
fn take_host_ports(container: &mut Map<String, Value>) {
    for port in items(container, "ports").map(object_mut) {
        if let Some(number) = port.get("containerPort").cloned() {
            fill(port, "hostPort", number);
        }
    }
}

fn default_container(container: &mut Map<String, Value>) {
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    fill(container, "resources", json!({}));
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let latest = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
    fill(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    for port in items(container, "ports") {
        fill(object_mut(port), "protocol", "TCP");
    }
    for variable in items(container, "env") {
        if let Some(source) = map_of(object_mut(variable), "valueFrom") {
            default_field(source);
            if let Some(resource) = map_of(source, "resourceFieldRef") {
                fill(resource, "divisor", "0");
            }
        }
    }
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let Some(probe) = map_of(container, probe) else { continue };
        fill(probe, "timeoutSeconds", 1);
        fill(probe, "periodSeconds", 10);
        fill(probe, "successThreshold", 1);
        fill(probe, "failureThreshold", 3);
        default_action(probe);
        if let Some(grpc) = map_of(probe, "grpc") {
            fill(grpc, "service", "");
        }
    }
    let hooks = map_of(container, "lifecycle").into_iter().flat_map(Map::values_mut);
    hooks.filter_map(Value::as_object_mut).for_each(default_action);
}

fn default_action(action: &mut Map<String, Value>) {
    if let Some(http) = map_of(action, "httpGet") {
        fill(http, "path", "/");
        fill(http, "scheme", "HTTP");
    }
}

/// A field of the pod is named in a version of the API.
fn default_field(source: &mut Map<String, Value>) {
    if let Some(field) = map_of(source, "fieldRef") {
        fill(field, "apiVersion", "v1");
    }
}

fn default_volume(volume: &mut Map<String, Value>) {
    if volume.iter().all(|(key, value)| key == "name" || value.is_null()) {
        volume.insert("emptyDir".into(), json!({}));
    }
    for kind in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = map_of(volume, kind) {
            fill(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(source) = map_of(volume, "hostPath") {
        fill(source, "type", "");
    }
    if let Some(source) = map_of(volume, "downwardAPI") {
        items(source, "items").map(object_mut).for_each(default_field);
    }
    let Some(projected) = map_of(volume, "projected") else { return };
    for source in items(projected, "sources").map(object_mut) {
        if let Some(token) = map_of(source, "serviceAccountToken") {
            fill(token, "expirationSeconds", TOKEN_LIFE);
        }
        if let Some(fields) = map_of(source, "downwardAPI") {
            items(fields, "items").map(object_mut).for_each(default_field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_and_sources_are_filled_in() {
        let mut pod = json!({"spec": {
            "hostNetwork": true,
            "containers": [{
                "name": "a", "image": "a:1", "ports": [{"containerPort": 80}],
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "livenessProbe": {"grpc": {"port": 1}},
                "lifecycle": {"preStop": {"httpGet": {"port": 1}}},
                "resources": {"limits": {"cpu": "1"}},
            }],
            "volumes": [
                {"name": "none"},
                {"name": "map", "configMap": {"name": "m"}},
                {"name": "host", "hostPath": {"path": "/"}},
                {"name": "all", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "x"}}]}},
                ]}},
            ],
        }});
        let mut template = pod["spec"].clone();
        default(&mut pod);
        let at = |pointer: &str| pod.pointer(pointer).cloned().unwrap_or_default();
        for (pointer, expected) in [
            ("/spec/volumes/0/emptyDir", json!({})),
            ("/spec/volumes/1/configMap/defaultMode", json!(420)),
            ("/spec/volumes/2/hostPath/type", json!("")),
            ("/spec/volumes/3/projected/defaultMode", json!(420)),
            (
                "/spec/volumes/3/projected/sources/0/serviceAccountToken/expirationSeconds",
                json!(3600),
            ),
            (
                "/spec/volumes/3/projected/sources/1/downwardAPI/items/0/fieldRef/apiVersion",
                json!("v1"),
            ),
            ("/spec/containers/0/env/0/valueFrom/fieldRef/apiVersion", json!("v1")),
            ("/spec/containers/0/livenessProbe/grpc/service", json!("")),
            ("/spec/containers/0/lifecycle/preStop/httpGet/scheme", json!("HTTP")),
            ("/spec/containers/0/ports/0/hostPort", json!(80)),
            ("/spec/containers/0/resources/requests/cpu", json!("1")),
        ] {
            assert_eq!(at(pointer), expected, "{pointer}");
        }
        default_spec(object_mut(&mut template));
        for pointer in ["/containers/0/ports/0/hostPort", "/containers/0/resources/requests"] {
            assert_eq!(template.pointer(pointer), None, "a template waits with {pointer}");
        }
    }
}
