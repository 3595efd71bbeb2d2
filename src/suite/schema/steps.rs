//! What a step changes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{
    Duration, Manifest, OneOrMany,
    claims::{Case, Table},
};

/// Changes, made in the order of these fields, and what is claimed then. They accumulate, and
/// are taken back after the suite.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Step {
    /// The name, which is not `base`; it stands in the ids of the step's cases.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// Objects to create; what this run has created is replaced.
    apply: Option<Vec<Manifest>>,
    /// Patches of objects.
    patch: Option<Vec<Patch>>,
    /// Objects to delete.
    delete: Option<Vec<Deletion>>,
    /// Labels to set and to remove.
    label: Option<Vec<Label>>,
    /// Pod peers that come and go.
    peers: Option<Lives>,
    /// What is waited for before the cases are asked.
    wait: Option<Wait>,
    /// How long the step's changes may take to bite.
    within: Option<Duration>,
    /// Claims.
    cases: Option<Vec<Case>>,
    /// Claims in the form of grids.
    tables: Option<Vec<Table>>,
}

/// A patch of one object, in one of the API server's three languages.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Patch {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `NetworkPolicy`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
    /// A merge patch (RFC 7386).
    merge: Option<Map<String, Value>>,
    /// A strategic merge patch, which merges lists by their keys.
    strategic: Option<Map<String, Value>>,
    /// A JSON patch (RFC 6902).
    json: Option<Vec<Map<String, Value>>>,
}

/// Objects to delete.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Deletion {
    /// One object, by its name.
    Name(ObjectName),
    /// All objects of a file.
    File(File),
}

/// An object by its name.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectName {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `NetworkPolicy`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
}

/// A file beside the suite.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    /// Its path from the suite.
    path: String,
}

/// Labels to set and to remove: of a pod peer, or of a namespace.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Label {
    /// The pod peer.
    peer: Option<String>,
    /// The namespace: an alias, or one that exists.
    namespace: Option<String>,
    /// Labels that it gets.
    set: Option<BTreeMap<String, String>>,
    /// Keys of labels that it loses.
    remove: Option<OneOrMany<String>>,
}

/// Pod peers that come and go.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Lives {
    /// Peers whose pods are deleted.
    delete: Option<OneOrMany<String>>,
    /// Peers whose pods are launched only now.
    create: Option<OneOrMany<String>>,
}

/// What is waited for.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Wait {
    /// A time.
    Time(Duration),
    /// A condition of an object.
    Condition(Condition),
}

/// A condition of an object.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `Deployment`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
    /// The condition's type: `Available`.
    condition: String,
    /// For so long at most; 60s if left out.
    timeout: Option<Duration>,
}
