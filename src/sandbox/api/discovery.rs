//! What the API says about itself: groups, versions, resources, the server's version.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::access::review::REVIEWS;
use super::resource::{ALL, NAMESPACES, PODS, Resource, SERVICE_ACCOUNTS};
use crate::sandbox::layout::{KUBERNETES_VERSION, architecture};

/// The answer for a discovery path, if it is one.
pub fn answer(path: &str) -> Option<Value> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Some(version()),
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => Some(json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups().into_iter().map(|group| describe_group(group, false)).collect::<Vec<_>>(),
        })),
        ["apis", group] if groups().contains(group) => Some(describe_group(group, true)),
        ["api", "v1"] => resources("", "v1"),
        ["apis", group, version] => resources(group, version),
        _ => None,
    }
}

fn version() -> Value {
    let numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.').collect::<Vec<_>>();
    json!({
        "major": numbers.first(),
        "minor": numbers.get(1),
        "gitVersion": KUBERNETES_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", architecture()),
    })
}

fn groups() -> BTreeSet<&'static str> {
    let mut groups: BTreeSet<_> = ALL.iter().map(|row| row.group).collect();
    groups.remove("");
    // Groups that have no stored resources, only the review kinds.
    groups.extend(REVIEWS.iter().map(|(group, _)| *group));
    groups
}

fn versions(group: &str) -> Vec<&'static str> {
    if REVIEWS.iter().any(|(known, _)| *known == group) {
        return vec!["v1"];
    }
    let versions: BTreeSet<_> =
        ALL.iter().filter(|row| row.group == group).map(|row| row.version).collect();
    versions.into_iter().collect()
}

fn describe_group(group: &str, alone: bool) -> Value {
    let versions: Vec<_> = versions(group)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let mut description =
        json!({"name": group, "versions": versions, "preferredVersion": versions.first()});
    if alone {
        description["kind"] = "APIGroup".into();
        description["apiVersion"] = "v1".into();
    }
    description
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> = ALL
        .iter()
        .filter(|row| row.group == group && row.version == version)
        .flat_map(|row| describe(row))
        .collect();
    let reviews = REVIEWS.iter().filter(|(known, _)| *known == group && version == "v1");
    for (name, kind, namespaced) in reviews.flat_map(|(_, kinds)| *kinds) {
        resources.push(json!({
            "name": name, "singularName": kind.to_lowercase(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"],
        }));
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        })
    })
}

fn describe(row: &Resource) -> Vec<Value> {
    let mut main = json!({
        "name": row.plural,
        "singularName": row.singular(),
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": [
            "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
        ],
    });
    if !row.short_names.is_empty() {
        main["shortNames"] = row.short_names.into();
    }
    if !row.categories.is_empty() {
        main["categories"] = row.categories.into();
    }
    let mut described = vec![main];
    let mut sub = |name: &str, kind: &str, verbs: &[&str]| {
        described.push(json!({
            "name": format!("{}/{name}", row.plural), "singularName": "",
            "namespaced": row.namespaced, "kind": kind, "verbs": verbs,
        }));
    };
    if row.status {
        sub("status", row.kind, &["get", "patch", "update"]);
    }
    if row == &PODS {
        sub("exec", "PodExecOptions", &["create", "get"]);
        sub("log", "Pod", &["get"]);
        sub("binding", "Binding", &["create"]);
        sub("eviction", "Eviction", &["create"]);
        sub("ephemeralcontainers", "Pod", &["get", "patch", "update"]);
    }
    if row == &SERVICE_ACCOUNTS {
        sub("token", "TokenRequest", &["create"]);
    }
    if row == &NAMESPACES {
        sub("finalize", "Namespace", &["update"]);
    }
    described
}
