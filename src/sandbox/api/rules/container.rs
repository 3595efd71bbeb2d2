//! What is wrong with the containers of a pod, and with the volumes that they mount.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{admission::quantity::Quantity, failure::Cause, names, object::Object},
    network_policy::port_name_error,
};

const PORT: &str = "must be between 1 and 65535, inclusive";
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// What is wrong with a pod's volumes.
pub(super) fn validate_volumes(pod: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (index, volume) in pod.items("/spec/volumes").iter().enumerate() {
        let field = format!("spec.volumes[{index}].name");
        let name = volume.text("/name");
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if let Some(message) = names::label_error(name) {
            causes.push(Cause::invalid(field, &name.into(), &message));
        } else if !seen.insert(name) {
            causes.push(Cause::duplicate(field, &name.into()));
        }
        for (kind, key) in [("hostPath", "path"), ("persistentVolumeClaim", "claimName")] {
            if volume.get(kind).is_some_and(|source| source.text(&format!("/{key}")).is_empty()) {
                let field = format!("spec.volumes[{index}].{kind}.{key}");
                causes.push(Cause::required(field, ""));
            }
        }
    }
}

/// What is wrong with one container of a pod.
pub(super) fn validate(pod: &Value, container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let name = container.text("/name");
    if name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if let Some(message) = names::label_error(name) {
        causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &message));
    }
    let image = container.text("/image");
    if image.is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    } else if image.trim() != image {
        let message = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(format!("{field}.image"), &image.into(), message));
    }
    ports(pod, container, field, causes);
    variables(container, field, causes);
    mounts(pod, container, field, causes);
    resources(container, field, causes);
    let sidecar = container.text("/restartPolicy") == "Always";
    let runs_once = field.starts_with("spec.initContainers") && !sidecar;
    for kind in PROBES {
        let Some(probe) = container.get(kind).filter(|probe| probe.is_object()) else { continue };
        let field = format!("{field}.{kind}");
        if runs_once {
            let detail = "may not be set for init containers without restartPolicy=Always";
            causes.push(Cause::forbidden(field, detail));
        } else {
            validate_probe(probe, kind, &field, causes);
        }
    }
}

fn ports(pod: &Value, container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let on_host = pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
    let mut seen = BTreeSet::new();
    for (index, port) in container.items("/ports").iter().enumerate() {
        let field = format!("{field}.ports[{index}]");
        let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or_default();
        if number == 0 {
            causes.push(Cause::required(format!("{field}.containerPort"), ""));
        } else if !(1..=65_535).contains(&number) {
            causes.push(Cause::invalid(format!("{field}.containerPort"), &number.into(), PORT));
        }
        let host = port.get("hostPort").and_then(Value::as_i64).unwrap_or_default();
        if !(0..=65_535).contains(&host) {
            causes.push(Cause::invalid(format!("{field}.hostPort"), &host.into(), PORT));
        } else if on_host && host != 0 && host != number {
            let message = "must match `hostPort` when `hostNetwork` is true";
            causes.push(Cause::invalid(format!("{field}.containerPort"), &number.into(), message));
        }
        let name = port.text("/name");
        if !name.is_empty() {
            if let Some(message) = port_name_error(name) {
                causes.push(Cause::invalid(format!("{field}.name"), &name.into(), message));
            } else if !seen.insert(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
            }
        }
        let protocol = port.text("/protocol");
        if !PROTOCOLS.contains(&protocol) {
            let field = format!("{field}.protocol");
            causes.push(Cause::not_supported(field, &protocol.into(), &PROTOCOLS));
        }
    }
}

fn variables(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (index, variable) in container.items("/env").iter().enumerate() {
        let field = format!("{field}.env[{index}]");
        if variable.text("/name").is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        }
        let Some(source) = variable.get("valueFrom").filter(|source| source.is_object()) else {
            continue;
        };
        if !variable.text("/value").is_empty() {
            let message = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{field}.valueFrom"), &"".into(), message));
        }
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            if source.get(kind).is_some_and(|source| source.text("/key").is_empty()) {
                causes.push(Cause::required(format!("{field}.valueFrom.{kind}.key"), ""));
            }
        }
    }
}

fn mounts(pod: &Value, container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let volumes: BTreeSet<_> =
        pod.items("/spec/volumes").iter().map(|volume| volume.text("/name")).collect();
    let mut seen = BTreeSet::new();
    for (index, mount) in container.items("/volumeMounts").iter().enumerate() {
        let field = format!("{field}.volumeMounts[{index}]");
        let (name, path) = (mount.text("/name"), mount.text("/mountPath"));
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !volumes.contains(name) {
            causes.push(Cause::not_found(format!("{field}.name"), &name.into()));
        }
        if path.is_empty() {
            causes.push(Cause::required(format!("{field}.mountPath"), ""));
        } else if !seen.insert(path) {
            let message = "must be unique";
            causes.push(Cause::invalid(format!("{field}.mountPath"), &path.into(), message));
        }
    }
}

fn resources(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let of =
        |kind: &str| container.pointer(&format!("/resources/{kind}")).and_then(Value::as_object);
    for kind in ["limits", "requests"] {
        for (name, amount) in of(kind).into_iter().flatten() {
            if Quantity::read(amount).is_some_and(|amount| amount < Quantity::default()) {
                let field = format!("{field}.resources.{kind}[{name}]");
                causes.push(Cause::invalid(field, amount, "must be greater than or equal to 0"));
            }
        }
    }
    for (name, request) in of("requests").into_iter().flatten() {
        let Some(limit) = of("limits").and_then(|limits| limits.get(name)) else { continue };
        if Quantity::read(request) > Quantity::read(limit) {
            let limit = limit.as_str().unwrap_or_default();
            let message = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{field}.resources.requests"), request, &message));
        }
    }
}

fn validate_probe(probe: &Value, kind: &str, field: &str, causes: &mut Vec<Cause>) {
    let mut handlers = HANDLERS.iter().filter(|handler| probe.get(**handler).is_some());
    match handlers.next() {
        None => causes.push(Cause::required(field, "must specify a handler type")),
        Some(handler) => {
            let port = probe[*handler].get("port");
            let number = port.and_then(Value::as_i64);
            if number.is_some_and(|number| !(1..=65_535).contains(&number)) {
                let place = format!("{field}.{handler}.port");
                causes.push(Cause::invalid(place, port.unwrap_or(&Value::Null), PORT));
            }
        }
    }
    for handler in handlers {
        let detail = "may not specify more than 1 handler type";
        causes.push(Cause::forbidden(format!("{field}.{handler}"), detail));
    }
    for count in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        if probe[count].as_i64().is_some_and(|number| number < 0) {
            let message = "must be greater than or equal to 0";
            causes.push(Cause::invalid(format!("{field}.{count}"), &probe[count], message));
        }
    }
    if kind != "readinessProbe" && probe["successThreshold"].as_i64().unwrap_or(1) != 1 {
        let place = format!("{field}.successThreshold");
        causes.push(Cause::invalid(place, &probe["successThreshold"], "must be 1"));
    }
}
