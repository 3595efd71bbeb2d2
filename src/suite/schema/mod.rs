//! The format as a JSON Schema, for editors and for whoever writes suites by a program.
//!
//! These types say what may be written; the reader says what of it makes sense. They have no
//! other use: suites are read with their places kept, which serde can't.

#![allow(dead_code, reason = "only the shape of these types is used")]

mod claims;
mod spoken;
mod steps;

use std::collections::BTreeMap;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use self::{
    claims::{Case, Table},
    steps::Step,
};

/// The JSON Schema (2020-12) of a suite.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Suite>().to_value()
}

/// A suite: claims about who may talk to whom in a Kubernetes cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Suite {
    /// The version of the format.
    api_version: ApiVersion,
    /// What this file is.
    kind: Kind,
    /// The suite's name.
    metadata: Metadata,
    /// What holds where a case or a peer says nothing itself.
    defaults: Option<Defaults>,
    /// What is created before the cases are asked, and removed after them.
    setup: Option<Setup>,
    /// The ends of the claims, by name.
    #[schemars(length(min = 1))]
    peers: BTreeMap<String, Peer>,
    /// Claims, asked before any step.
    cases: Option<Vec<Case>>,
    /// Claims in the form of grids.
    tables: Option<Vec<Table>>,
    /// Changes, and what is claimed once they are made.
    steps: Option<Vec<Step>>,
}

/// The version of the format.
#[derive(JsonSchema)]
enum ApiVersion {
    #[schemars(rename = "netproof.dev/v1alpha1")]
    V1Alpha1,
}

/// What this file is.
#[derive(JsonSchema)]
enum Kind {
    Suite,
}

/// The suite's name and what it is for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    /// A DNS label; it stands in the id of every case.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    name: String,
    /// What the suite is about, for people.
    description: Option<String>,
}

/// What holds where a case or a peer says nothing itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Defaults {
    /// How long a change may take to bite; 30s if left out.
    within: Option<Duration>,
    /// The ports of pods that declare none of their own, by name.
    ports: Option<BTreeMap<String, Port>>,
}

/// A time with its unit: `30s`, `500ms`, `1m 30s`.
#[derive(JsonSchema)]
struct Duration(#[schemars(regex(pattern = r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$"))] String);

/// A port and how it is spoken to: `8080/tcp`, `53/udp`, `80/http`; a number alone is TCP.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Port {
    /// A number, for TCP.
    Number(#[schemars(range(min = 1, max = 65535))] u16),
    /// A number with a protocol.
    Text(#[schemars(regex(pattern = r"^[0-9]{1,5}(/(tcp|udp|http|sctp))?$"))] String),
}

/// What is created before the cases are asked.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Setup {
    /// Namespaces to create, by the alias that the suite uses for them.
    namespaces: Option<BTreeMap<String, Option<Namespace>>>,
    /// Kubernetes objects to create, in this order.
    manifests: Option<Vec<Manifest>>,
}

/// A namespace that the run creates; one that exists is never taken over.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Namespace {
    /// Its name; a generated one if left out.
    name: Option<String>,
    /// Its labels.
    labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    annotations: Option<BTreeMap<String, String>>,
}

/// Kubernetes objects: from a file beside the suite, or written here.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
enum Manifest {
    /// A file beside the suite, which may hold many documents.
    Path(String),
    /// An object, or a list of them.
    Inline(OneOrMany<Object>),
}

/// A Kubernetes object. Aliases of namespaces in it become their names; elsewhere write
/// `${namespace:alias}`.
type Object = Map<String, Value>;

/// One, or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

/// One end of a claim: exactly one of these. Only pods dial.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
enum Peer {
    /// A probe pod that the run launches.
    Pod(PodPeer),
    /// A Service, of the suite's manifests or one that exists.
    Service(ServicePeer),
    /// One address.
    Ip(String),
    /// A name, resolved in the source pod.
    Host(String),
}

/// A probe pod to launch. Policies see its namespace, labels and service account.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct PodPeer {
    /// An alias of `setup.namespaces`, or a namespace that exists.
    namespace: String,
    /// Its labels.
    labels: Option<BTreeMap<String, String>>,
    /// What it listens on, by name; `defaults.ports` if left out.
    ports: Option<BTreeMap<String, Port>>,
    /// Its service account; `default` if left out.
    service_account: Option<String>,
    /// Labels of the nodes that it may run on.
    node: Option<BTreeMap<String, String>>,
    /// Its annotations.
    annotations: Option<BTreeMap<String, String>>,
}

/// A Service.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct ServicePeer {
    /// An alias of `setup.namespaces`, or a namespace that exists.
    namespace: String,
    /// The Service's name.
    name: String,
}
