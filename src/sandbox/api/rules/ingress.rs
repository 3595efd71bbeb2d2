//! Ingresses: stored, and judged as the API server judges them.

use serde_json::{Value, json};

use super::super::{
    failure::Cause,
    names,
    object::{Object, object_mut},
};

const TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

/// Nobody has taken it up yet.
pub(super) fn prepare(ingress: &mut Value) {
    object_mut(ingress).insert("status".into(), json!({"loadBalancer": {}}));
}

pub(super) fn validate(ingress: &Value, _: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let rules = ingress.items("/spec/rules");
    let default = ingress.pointer("/spec/defaultBackend");
    if rules.is_empty() && default.is_none() {
        let message = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &ingress["spec"], message));
    }
    if let Some(backend) = default {
        validate_backend(backend, "spec.defaultBackend", &mut causes);
    }
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("spec.rules[{index}]");
        let host = rule.text("/host");
        if !host.is_empty() {
            let bare = host.strip_prefix("*.").unwrap_or(host);
            if let Some(message) = names::subdomain_error(bare) {
                causes.push(Cause::invalid(format!("{field}.host"), &host.into(), &message));
            }
        }
        let Some(http) = rule.get("http").filter(|http| http.is_object()) else { continue };
        let paths = http.items("/paths");
        if paths.is_empty() {
            causes.push(Cause::required(format!("{field}.http.paths"), ""));
        }
        for (index, path) in paths.iter().enumerate() {
            validate_path(path, &format!("{field}.http.paths[{index}]"), &mut causes);
        }
    }
    causes
}

fn validate_path(path: &Value, field: &str, causes: &mut Vec<Cause>) {
    let (kind, text) = (path.text("/pathType"), path.text("/path"));
    match kind {
        "" => {
            let detail = "pathType must be specified";
            causes.push(Cause::required(format!("{field}.pathType"), detail));
        }
        kind if !TYPES.contains(&kind) => {
            let field = format!("{field}.pathType");
            causes.push(Cause::not_supported(field, &kind.into(), &TYPES));
        }
        kind => {
            let any = kind == "ImplementationSpecific" && text.is_empty();
            if !any && !text.starts_with('/') {
                let message = "must be an absolute path";
                causes.push(Cause::invalid(format!("{field}.path"), &text.into(), message));
            }
        }
    }
    validate_backend(&path["backend"], &format!("{field}.backend"), causes);
}

fn validate_backend(backend: &Value, field: &str, causes: &mut Vec<Cause>) {
    match (backend.get("service"), backend.get("resource")) {
        (None, None) => {
            let message = "cannot be empty; must set either resource or service";
            causes.push(Cause::required(field, message));
        }
        (Some(_), Some(_)) => {
            let message = "cannot set both resource and service backends";
            causes.push(Cause::invalid(field, &"".into(), message));
        }
        (Some(service), None) => {
            let name = service.text("/name");
            let place = format!("{field}.service.name");
            if name.is_empty() {
                causes.push(Cause::required(place, ""));
            } else if let Some(message) = names::label_error(name) {
                causes.push(Cause::invalid(place, &name.into(), &message));
            }
            let number = service.pointer("/port/number").and_then(Value::as_i64);
            let named = !service.text("/port/name").is_empty();
            let place = format!("{field}.service.port");
            match (number.filter(|number| *number != 0), named) {
                (None, false) => {
                    causes.push(Cause::required(place, "port name or number is required"));
                }
                (Some(_), true) => {
                    let message = "cannot set both port name & port number";
                    causes.push(Cause::invalid(place, &"".into(), message));
                }
                (Some(number), false) if !(1..=65_535).contains(&number) => {
                    let message = "must be between 1 and 65535, inclusive";
                    let place = format!("{place}.number");
                    causes.push(Cause::invalid(place, &number.into(), message));
                }
                _ => {}
            }
        }
        (None, Some(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_refused() {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        let path = |path: Value| json!({"rules": [{"http": {"paths": [path]}}]});
        for (spec, expected) in [
            (json!({"defaultBackend": backend}), ""),
            (json!({}), "either `defaultBackend` or `rules`"),
            (path(json!({"path": "/", "pathType": "Prefix", "backend": backend})), ""),
            (path(json!({"pathType": "ImplementationSpecific", "backend": backend})), ""),
            (path(json!({"path": "/", "backend": backend})), "pathType must be specified"),
            (
                path(json!({"path": "a", "pathType": "Exact", "backend": backend})),
                "must be an absolute path",
            ),
            (path(json!({"path": "/", "pathType": "Exact"})), "must set either resource"),
            (
                json!({"defaultBackend": {"service": {"name": "web"}}}),
                "port name or number is required",
            ),
        ] {
            let causes = validate(&json!({"spec": spec}), None);
            match expected {
                "" => assert_eq!(causes, [], "{spec}"),
                expected => assert!(
                    causes.iter().any(|cause| cause.message.contains(expected)),
                    "{spec}: {causes:?}"
                ),
            }
        }
    }
}
