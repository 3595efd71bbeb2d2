//! Everything in a cluster that policies depend on, as it stands.

use http::Request;
use serde_json::Value;

use super::{Cluster, Error};

/// How many objects a page has.
const PAGE: usize = 500;

/// What is listed: the path, and the kind of its items, which lists don't repeat.
const LISTS: [(&str, &str, &str); 14] = [
    ("/api/v1/namespaces", "v1", "Namespace"),
    ("/api/v1/pods", "v1", "Pod"),
    ("/api/v1/nodes", "v1", "Node"),
    ("/api/v1/services", "v1", "Service"),
    ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ("/apis/networking.k8s.io/v1/networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"),
    (
        "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
        "policy.networking.k8s.io/v1alpha2",
        "ClusterNetworkPolicy",
    ),
    (
        "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
        "policy.networking.k8s.io/v1alpha1",
        "AdminNetworkPolicy",
    ),
    (
        "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
        "policy.networking.k8s.io/v1alpha1",
        "BaselineAdminNetworkPolicy",
    ),
    ("/apis/cilium.io/v2/ciliumnetworkpolicies", "cilium.io/v2", "CiliumNetworkPolicy"),
    (
        "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
        "cilium.io/v2",
        "CiliumClusterwideNetworkPolicy",
    ),
    ("/apis/crd.projectcalico.org/v1/networkpolicies", "crd.projectcalico.org/v1", "NetworkPolicy"),
    (
        "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
        "crd.projectcalico.org/v1",
        "GlobalNetworkPolicy",
    ),
    (
        "/apis/crd.antrea.io/v1beta1/clusternetworkpolicies",
        "crd.antrea.io/v1beta1",
        "ClusterNetworkPolicy",
    ),
];

/// Without these nothing at all can be said.
const NEEDED: [&str; 3] = ["Namespace", "Pod", "NetworkPolicy"];

/// What stands in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyState {
    /// The objects, each with its `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// Kinds of policy that may not be listed, and may decide all the same.
    pub missing: Vec<String>,
}

impl Cluster {
    /// Lists the namespaces, pods, nodes, Services and all kinds of policy.
    ///
    /// # Errors
    /// The server doesn't answer, or refuses what can't be done without: namespaces, pods
    /// and NetworkPolicies.
    pub async fn policy_state(&self) -> Result<PolicyState, Error> {
        let mut state = PolicyState::default();
        for (path, version, kind) in LISTS {
            match self.list(path, version, kind).await {
                Ok(objects) => state.objects.extend(objects),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(kube::Error::Api(status)) if status.code == 403 && !NEEDED.contains(&kind) => {
                    // Nodes and Services only make some answers less sure.
                    if kind.ends_with("Policy") {
                        state.missing.push(kind.to_owned());
                    }
                }
                Err(error) => return Err(Error::from_kube(format!("list {path}"), error)),
            }
        }
        Ok(state)
    }

    async fn list(&self, path: &str, version: &str, kind: &str) -> Result<Vec<Value>, kube::Error> {
        let (mut objects, mut next) = (Vec::new(), String::new());
        loop {
            let uri = format!("{path}?limit={PAGE}{next}");
            let request = Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)?;
            let mut page: Value = self.client.request(request).await?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                objects.extend(items.into_iter().map(|mut object| {
                    object["apiVersion"] = version.into();
                    object["kind"] = kind.into();
                    object
                }));
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => return Ok(objects),
            }
        }
    }
}
