//! The requests that a kind takes, with their parameters.

use serde_json::{Map, Value, json};

use super::{
    super::resource::{Resource, Subresource},
    definitions,
};

const REFERENCE: &str = "#/components/schemas/";

/// The paths of some kinds.
pub(super) fn of(rows: &[&'static Resource]) -> Map<String, Value> {
    let mut paths = Map::new();
    for row in rows {
        let root = if row.group.is_empty() {
            format!("/api/{}", row.version)
        } else {
            format!("/apis/{}/{}", row.group, row.version)
        };
        let collection = if row.namespaced {
            let all = format!("{root}/{}", row.plural);
            paths.insert(all, item(row, &[("get", "list")], None, false));
            format!("{root}/namespaces/{{namespace}}/{}", row.plural)
        } else {
            format!("{root}/{}", row.plural)
        };
        let verbs = [("get", "list"), ("post", "create"), ("delete", "deleteCollection")];
        paths.insert(collection.clone(), item(row, &verbs, None, row.namespaced));
        let one = format!("{collection}/{{name}}");
        let verbs = [("get", "read"), ("put", "replace"), ("patch", "patch"), ("delete", "delete")];
        paths.insert(one.clone(), item(row, &verbs, None, row.namespaced));
        for sub in row.subresources() {
            let verbs: Vec<_> = sub.verbs.iter().filter_map(|verb| method(verb)).collect();
            let place = format!("{one}/{}", sub.name);
            paths.insert(place, item(row, &verbs, Some(&sub), row.namespaced));
        }
    }
    paths
}

fn method(verb: &str) -> Option<(&'static str, &'static str)> {
    match verb {
        "get" => Some(("get", "read")),
        "update" => Some(("put", "replace")),
        "patch" => Some(("patch", "patch")),
        "create" => Some(("post", "create")),
        _ => None,
    }
}

fn item(
    row: &Resource,
    verbs: &[(&str, &str)],
    sub: Option<&Subresource>,
    namespaced: bool,
) -> Value {
    let mut item = Map::new();
    for (method, verb) in verbs {
        item.insert((*method).to_owned(), operation(row, verb, sub, namespaced));
    }
    Value::Object(item)
}

fn operation(row: &Resource, verb: &str, sub: Option<&Subresource>, namespaced: bool) -> Value {
    let mut parameters = Vec::new();
    let mut parameter = |name: &str, place: &str, kind: &str| {
        let required = place == "path";
        let mut parameter = json!({"name": name, "in": place, "schema": {"type": kind}});
        if required {
            parameter["required"] = true.into();
        }
        parameters.push(parameter);
    };
    if namespaced {
        parameter("namespace", "path", "string");
    }
    let collection =
        matches!(verb, "list" | "deleteCollection") || (verb == "create" && sub.is_none());
    if !collection {
        parameter("name", "path", "string");
    }
    parameter("pretty", "query", "string");
    match verb {
        "create" | "replace" | "patch" => {
            parameter("dryRun", "query", "string");
            parameter("fieldManager", "query", "string");
            parameter("fieldValidation", "query", "string");
            if verb == "patch" {
                parameter("force", "query", "boolean");
            }
        }
        "delete" => {
            parameter("dryRun", "query", "string");
            parameter("gracePeriodSeconds", "query", "integer");
            parameter("orphanDependents", "query", "boolean");
            parameter("propagationPolicy", "query", "string");
        }
        "list" | "deleteCollection" => {
            for (name, kind) in [
                ("allowWatchBookmarks", "boolean"),
                ("continue", "string"),
                ("fieldSelector", "string"),
                ("labelSelector", "string"),
                ("limit", "integer"),
                ("resourceVersion", "string"),
                ("resourceVersionMatch", "string"),
                ("sendInitialEvents", "boolean"),
                ("timeoutSeconds", "integer"),
                ("watch", "boolean"),
            ] {
                parameter(name, "query", kind);
            }
        }
        _ => {}
    }
    let name = definitions::name(row);
    let kind = sub.map_or(row.kind, |sub| sub.kind);
    let schema = match (verb, kind) {
        ("list", _) => format!("{name}List"),
        ("delete" | "deleteCollection", _) => {
            "io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned()
        }
        (_, "Scale") => "io.k8s.api.autoscaling.v1.Scale".to_owned(),
        _ => name,
    };
    let content = |types: &[&str]| {
        let schema = json!({"schema": {"$ref": format!("{REFERENCE}{schema}")}});
        types.iter().map(|kind| ((*kind).to_owned(), schema.clone())).collect::<Map<_, _>>()
    };
    let json = "application/json";
    let code = if verb == "create" { "201" } else { "200" };
    let mut operation = json!({
        "operationId": operation_id(row, verb, sub, namespaced),
        "tags": [tag(row)],
        "parameters": parameters,
        "responses": {code: {"description": "OK", "content": content(&[json])}},
        "x-kubernetes-action": action(verb),
        "x-kubernetes-group-version-kind": gvk(row, kind),
    });
    let body = match verb {
        "create" | "replace" => vec!["*/*"],
        "patch" => vec![
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ],
        _ => Vec::new(),
    };
    if !body.is_empty() {
        operation["requestBody"] = json!({"required": true, "content": content(&body)});
    }
    operation
}

fn gvk(row: &Resource, kind: &str) -> Value {
    match kind {
        "Scale" => json!({"group": "autoscaling", "kind": "Scale", "version": "v1"}),
        kind => json!({"group": row.group, "kind": kind, "version": row.version}),
    }
}

fn action(verb: &str) -> &str {
    match verb {
        "read" => "get",
        "create" => "post",
        "replace" => "put",
        "deleteCollection" => "deletecollection",
        other => other,
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `apps_v1`, as generated clients are split.
fn tag(row: &Resource) -> String {
    let group = row.group.split('.').next().unwrap_or_default();
    format!("{}_{}", if group.is_empty() { "core" } else { group }, row.version)
}

/// `createAppsV1NamespacedDeployment`.
fn operation_id(row: &Resource, verb: &str, sub: Option<&Subresource>, namespaced: bool) -> String {
    let tag: String = tag(row).split('_').map(capital).collect();
    let (verb, collection) = match verb {
        "deleteCollection" => ("delete", "Collection"),
        verb => (verb, ""),
    };
    let scope = if namespaced { "Namespaced" } else { "" };
    let rest = if row.namespaced && !namespaced { "ForAllNamespaces" } else { "" };
    let sub = sub.map_or(String::new(), |sub| capital(sub.name));
    format!("{verb}{tag}{collection}{scope}{}{sub}{rest}", row.kind)
}

/// A path's operations as version 2 of OpenAPI writes them.
pub(super) fn older(item: &mut Value) {
    let Some(operations) = item.as_object_mut() else { return };
    for operation in operations.values_mut() {
        let Some(operation) = operation.as_object_mut() else { continue };
        let body = operation.remove("requestBody");
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            for parameter in parameters.iter_mut().filter_map(Value::as_object_mut) {
                let kind = parameter.remove("schema").unwrap_or_default()["type"].clone();
                parameter.insert("type".into(), kind);
            }
            if body.is_some() {
                let schema = json!({"type": "object"});
                parameters.push(
                    json!({"name": "body", "in": "body", "required": true, "schema": schema}),
                );
            }
        }
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for response in responses.into_iter().flat_map(|responses| responses.values_mut()) {
            *response = json!({"description": "OK"});
        }
    }
}
