//! What can be asked of a cluster before a run has an id: its version and its nodes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node as ApiNode;
use kube::{Api, ResourceExt, api::ListParams};

use super::{Cluster, Error};
use crate::model::Labels;

/// How long the first call may take: nobody wants to wait longer to hear that a cluster is
/// out of reach.
const REACH: Duration = Duration::from_secs(15);

/// A node that probe pods can be placed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

impl Cluster {
    /// The server's version, `v1.36.1`. The first call of a run: it proves that the
    /// server can be reached.
    ///
    /// # Errors
    /// No answer within 15 s, or one that isn't Kubernetes'.
    pub async fn version(&self) -> Result<String, Error> {
        let what = format!("reach {}", self.server());
        match tokio::time::timeout(REACH, self.client.apiserver_version()).await {
            Ok(Ok(info)) => Ok(info.git_version),
            Ok(Err(error)) => Err(Error::from_kube(what, error)),
            Err(_) => Err(Error::unreachable(what, "no answer within 15 s")),
        }
    }

    /// The nodes that take probe pods, sorted by name: Ready, schedulable, Linux, without
    /// a `NoSchedule` or `NoExecute` taint, because probe pods tolerate none.
    ///
    /// # Errors
    /// No answer, or no permission to list nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let nodes: Api<ApiNode> = Api::all(self.client.clone());
        let listed = Self::call("list nodes", nodes.list(&ListParams::default())).await?;
        let mut usable: Vec<Node> = listed
            .items
            .into_iter()
            .filter(takes_probe_pods)
            .map(|node| Node { name: node.name_any(), labels: node.labels().clone() })
            .collect();
        usable.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(usable)
    }
}

fn takes_probe_pods(node: &ApiNode) -> bool {
    let spec = node.spec.as_ref();
    let ready = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let schedulable = spec.and_then(|spec| spec.unschedulable) != Some(true);
    let linux = node.labels().get("kubernetes.io/os").is_none_or(|os| os == "linux");
    let tainted = spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .any(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    ready && schedulable && linux && !tainted && node.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_untainted_linux_nodes_take_probe_pods() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        for (what, node, expected) in [
            ("a plain node", json!({"status": {"conditions": ready}}), true),
            ("no condition yet", json!({}), false),
            (
                "not ready",
                json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                false,
            ),
            (
                "cordoned",
                json!({"spec": {"unschedulable": true}, "status": {"conditions": ready}}),
                false,
            ),
            (
                "a control plane",
                json!({
                    "spec": {"taints": [{"key": "node-role", "effect": "NoSchedule"}]},
                    "status": {"conditions": ready},
                }),
                false,
            ),
            (
                "a soft taint",
                json!({
                    "spec": {"taints": [{"key": "busy", "effect": "PreferNoSchedule"}]},
                    "status": {"conditions": ready},
                }),
                true,
            ),
            (
                "Windows",
                json!({
                    "metadata": {"labels": {"kubernetes.io/os": "windows"}},
                    "status": {"conditions": ready},
                }),
                false,
            ),
        ] {
            let node: ApiNode = serde_json::from_value(node).unwrap();
            assert_eq!(takes_probe_pods(&node), expected, "{what}");
        }
    }
}
