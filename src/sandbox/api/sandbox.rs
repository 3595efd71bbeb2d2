//! The kinds of `sandbox.netproof.dev`: what no cluster has as an object, but a test needs.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::model::Port;

/// The group of these kinds.
pub const GROUP: &str = "sandbox.netproof.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";

/// A host outside the cluster, on which an application that isn't netproof's listens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalHostSpec {
    /// Its addresses; none of them may lie in the cluster's own ranges.
    pub addresses: Vec<IpAddr>,
    /// The DNS names under which the cluster's DNS knows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What it listens on: `80/http`, `443/tcp`, `53/udp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// Something that is broken as long as the object exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultSpec {
    /// In the words of the command line: `ignore-egress`, `loss=10%`.
    pub fault: String,
}

/// Reads and writes an object whose specification is of a type of this module.
pub(super) fn canonical<Spec: Serialize + DeserializeOwned>(
    object: Value,
) -> Result<Value, serde_json::Error> {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed<Spec> {
        api_version: String,
        kind: String,
        #[serde(default)]
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
        spec: Spec,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        status: Map<String, Value>,
    }
    serde_json::to_value(serde_json::from_value::<Typed<Spec>>(object)?)
}
