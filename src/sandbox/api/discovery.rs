//! What the API says about itself: groups, versions, resources, the server's version.
//!
//! Discovery comes in two forms: a document for each group and version, and everything in
//! two documents, which newer clients ask for by their `Accept` header.

use std::{cmp::Reverse, collections::BTreeSet};

use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    access::review::REVIEWS,
    resource::{Resource, Subresource},
};
use crate::sandbox::layout::{KUBERNETES_VERSION, architecture};

/// What can be done with every stored kind.
const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer for a discovery path, if it is one.
pub fn answer(rows: &[&'static Resource], path: &str, headers: &HeaderMap) -> Option<Response> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let aggregated =
        matches!(parts.as_slice(), ["api"] | ["apis"]).then(|| form(headers)).flatten();
    if let Some(version) = aggregated {
        let groups: Vec<_> = if parts == ["api"] { vec![""] } else { groups(rows) };
        let kind =
            format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        let list = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {},
            "items": groups.iter().map(|group| aggregate(rows, group)).collect::<Vec<_>>(),
        });
        return Some(([(CONTENT_TYPE, kind)], list.to_string()).into_response());
    }
    let answer = match parts.as_slice() {
        [""] => json!({"paths": index(rows)}),
        ["version"] => version(),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups(rows)
                .into_iter()
                .map(|group| describe_group(rows, group, false))
                .collect::<Vec<_>>(),
        }),
        ["apis", group] if groups(rows).contains(group) => describe_group(rows, group, true),
        ["api", "v1"] => resources(rows, "", "v1")?,
        ["apis", group, version] => resources(rows, group, version)?,
        _ => return None,
    };
    Some(axum::Json(answer).into_response())
}

/// Which version of aggregated discovery a client takes before anything else.
fn form(headers: &HeaderMap) -> Option<&'static str> {
    let accepted = headers.get(ACCEPT)?.to_str().ok()?;
    let first = accepted.split(',').next().unwrap_or_default();
    let has = |part: &str| first.split(';').any(|word| word.trim() == part);
    if !has("as=APIGroupDiscoveryList") || !has("g=apidiscovery.k8s.io") {
        return None;
    }
    ["v2", "v2beta1"].into_iter().find(|version| has(&format!("v={version}")))
}

fn version() -> Value {
    let numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.').collect::<Vec<_>>();
    json!({
        "major": numbers.first(),
        "minor": numbers.get(1),
        "emulationMajor": numbers.first(),
        "emulationMinor": numbers.get(1),
        "gitVersion": KUBERNETES_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", architecture()),
    })
}

fn index(rows: &[&'static Resource]) -> Vec<String> {
    let mut paths: BTreeSet<String> = [
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    for group in groups(rows) {
        paths.insert(format!("/apis/{group}"));
        paths
            .extend(versions(rows, group).iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.into_iter().collect()
}

fn groups(rows: &[&'static Resource]) -> Vec<&'static str> {
    let groups = rows.iter().map(|row| row.group).chain(REVIEWS.map(|(group, _)| group));
    let groups: BTreeSet<_> = groups.filter(|group| !group.is_empty()).collect();
    groups.into_iter().collect()
}

/// The versions of a group, the preferred one first.
fn versions(rows: &[&'static Resource], group: &str) -> Vec<&'static str> {
    let own = rows.iter().filter(|row| row.group == group).map(|row| row.version);
    let mut versions: BTreeSet<_> = own.collect();
    if REVIEWS.iter().any(|(known, _)| *known == group) {
        versions.insert("v1");
    }
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_by_key(|version| Reverse(rank(version)));
    versions
}

/// Stable versions before betas before alphas, the higher number first.
pub(super) fn rank(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let number = |text: &str| text.parse().unwrap_or_default();
    for (word, level) in [("alpha", 1), ("beta", 2)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return (level, number(major), number(minor));
        }
    }
    if rest.parse::<u32>().is_ok() { (3, number(rest), 0) } else { (0, 0, 0) }
}

fn describe_group(rows: &[&'static Resource], group: &str, alone: bool) -> Value {
    let versions: Vec<_> = versions(rows, group)
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

fn of_version<'r>(
    rows: &'r [&'static Resource],
    group: &'r str,
    version: &'r str,
) -> impl Iterator<Item = &'static Resource> + use<'r> {
    rows.iter().copied().filter(move |row| row.group == group && row.version == version)
}

/// Kinds that are answered and not stored: plural, kind, and whether they are made in a
/// namespace.
fn reviews(group: &str, version: &str) -> Vec<(&'static str, &'static str, bool)> {
    let reviews = REVIEWS.iter().filter(|(known, _)| *known == group && version == "v1");
    reviews.flat_map(|(_, kinds)| *kinds).copied().collect()
}

fn resources(rows: &[&'static Resource], group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<_> = of_version(rows, group, version).flat_map(describe).collect();
    for (plural, kind, namespaced) in reviews(group, version) {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced,
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

fn verbs(row: &Resource) -> [&'static str; 8] {
    if row.definition().is_none() {
        return VERBS;
    }
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
}

/// A short hash of the version in which objects are stored.
fn storage_hash(row: &Resource) -> String {
    let stored = row.stored_version();
    let stored = if stored.contains('/') { stored } else { format!("/{stored}") };
    let digest = Sha256::digest(format!("{stored}/{}", row.kind));
    STANDARD.encode(&digest[..8])
}

fn describe(row: &'static Resource) -> Vec<Value> {
    let mut main = json!({
        "name": row.plural,
        "singularName": row.singular(),
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": verbs(row),
        "storageVersionHash": storage_hash(row),
    });
    if !row.short_names.is_empty() {
        main["shortNames"] = row.short_names.into();
    }
    if !row.categories.is_empty() {
        main["categories"] = row.categories.into();
    }
    let below = row.subresources().map(|sub| {
        let mut described = json!({
            "name": format!("{}/{}", row.plural, sub.name), "singularName": "",
            "namespaced": row.namespaced, "kind": sub.kind, "verbs": sub.verbs,
        });
        if let Some((group, version)) = sub.foreign() {
            described["group"] = group.into();
            described["version"] = version.into();
        }
        described
    });
    std::iter::once(main).chain(below).collect()
}

/// A group in the aggregated form.
fn aggregate(rows: &[&'static Resource], group: &str) -> Value {
    let versions: Vec<_> = versions(rows, group)
        .into_iter()
        .map(|version| {
            let own = of_version(rows, group, version).map(aggregate_row);
            let reviews = reviews(group, version).into_iter().map(|(plural, kind, namespaced)| {
                json!({
                    "resource": plural, "singularResource": kind.to_lowercase(),
                    "responseKind": {"group": group, "version": version, "kind": kind},
                    "scope": scope(namespaced), "verbs": ["create"],
                })
            });
            json!({
                "version": version, "freshness": "Current",
                "resources": own.chain(reviews).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

fn aggregate_row(row: &'static Resource) -> Value {
    let kind_of = |sub: Subresource| {
        let (group, version) = sub.foreign().unwrap_or((row.group, row.version));
        json!({
            "subresource": sub.name, "verbs": sub.verbs,
            "responseKind": {"group": group, "version": version, "kind": sub.kind},
        })
    };
    let mut described = json!({
        "resource": row.plural, "singularResource": row.singular(), "verbs": verbs(row),
        "responseKind": {"group": row.group, "version": row.version, "kind": row.kind},
        "scope": scope(row.namespaced),
    });
    for (field, words) in [("shortNames", row.short_names), ("categories", row.categories)] {
        if !words.is_empty() {
            described[field] = words.into();
        }
    }
    let below: Vec<_> = row.subresources().map(kind_of).collect();
    if !below.is_empty() {
        described["subresources"] = below.into();
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_version_is_the_most_stable_and_the_newest() {
        let mut versions = ["v1alpha1", "v1", "v2beta1", "v2", "v10", "odd", "v2beta2"];
        versions.sort_by_key(|version| Reverse(rank(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta2", "v2beta1", "v1alpha1", "odd"]);
    }
}
