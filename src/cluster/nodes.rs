//! What can be asked of a cluster before a run has an id: its version and its nodes.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::{Node as ApiNode, Pod};
use kube::{Api, ResourceExt, api::ListParams};

use super::{Cluster, Error};
use crate::model::Labels;

/// How long the first call may take: nobody wants to wait longer to hear that a cluster is
/// out of reach.
const REACH: Duration = Duration::from_secs(15);

/// Objects in one answer.
const PAGE: u32 = 500;

/// A node that probe pods can be placed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// A cluster's nodes, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Those that take probe pods.
    pub usable: Vec<Node>,
    /// Those that don't, by name, with the reason.
    pub others: Vec<(String, String)>,
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

    /// The cluster's nodes. Probe pods tolerate no taint.
    ///
    /// # Errors
    /// No answer, or no permission to list nodes.
    pub async fn nodes(&self) -> Result<Nodes, Error> {
        let api: Api<ApiNode> = Api::all(self.client.clone());
        let mut page = ListParams::default().limit(PAGE);
        let mut nodes = Nodes::default();
        loop {
            let listed = Self::call("list nodes", api.list(&page)).await?;
            for node in listed.items {
                let name = node.name_any();
                match unfit(&node) {
                    None => nodes.usable.push(Node { name, labels: node.labels().clone() }),
                    Some(reason) => nodes.others.push((name, reason)),
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => break,
            }
        }
        nodes.usable.sort_by(|one, other| one.name.cmp(&other.name));
        nodes.others.sort();
        Ok(nodes)
    }

    /// The nodes that pods of these namespaces run on, for whoever may not list nodes: of
    /// each no more than its name is known.
    ///
    /// # Errors
    /// No answer, or no permission to list pods there.
    pub async fn nodes_in_use(&self, namespaces: &BTreeSet<String>) -> Result<Vec<Node>, Error> {
        let mut names = BTreeSet::new();
        for namespace in namespaces {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let running = ListParams::default().fields("status.phase=Running").limit(PAGE);
            let what = format!("list pods in namespace {namespace}");
            let listed = Self::call(what, pods.list(&running)).await?;
            names.extend(listed.items.into_iter().filter_map(|pod| pod.spec?.node_name));
        }
        Ok(names.into_iter().map(Node::of_name).collect())
    }
}

impl Node {
    /// A node of which no more than its name is known.
    pub fn of_name(name: String) -> Self {
        let labels = Labels::from([("kubernetes.io/hostname".to_owned(), name.clone())]);
        Self { name, labels }
    }
}

/// What keeps probe pods off a node.
fn unfit(node: &ApiNode) -> Option<String> {
    let spec = node.spec.as_ref();
    let ready = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let other = |label: &str, known: &[&str]| {
        node.labels().get(label).filter(|value| !known.contains(&value.as_str()))
    };
    let taint = spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .find(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    if node.metadata.deletion_timestamp.is_some() {
        Some("it is being deleted".to_owned())
    } else if let Some(os) = other("kubernetes.io/os", &["linux"]) {
        Some(format!("it runs {os}"))
    } else if let Some(architecture) = other("kubernetes.io/arch", &["amd64", "arm64"]) {
        Some(format!("its processor is {architecture}"))
    } else if !ready {
        Some("it is not ready".to_owned())
    } else if spec.and_then(|spec| spec.unschedulable) == Some(true) {
        Some("it is cordoned".to_owned())
    } else {
        taint.map(|taint| format!("it has the taint {}:{}", taint.key, taint.effect))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_untainted_linux_nodes_take_probe_pods() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        for (what, node, expected) in [
            ("a plain node", json!({"status": {"conditions": ready}}), None),
            ("no condition yet", json!({}), Some("it is not ready")),
            (
                "not ready",
                json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                Some("it is not ready"),
            ),
            (
                "cordoned",
                json!({"spec": {"unschedulable": true}, "status": {"conditions": ready}}),
                Some("it is cordoned"),
            ),
            (
                "a control plane",
                json!({
                    "spec": {"taints": [{"key": "node-role", "effect": "NoSchedule"}]},
                    "status": {"conditions": ready},
                }),
                Some("it has the taint node-role:NoSchedule"),
            ),
            (
                "a soft taint",
                json!({
                    "spec": {"taints": [{"key": "busy", "effect": "PreferNoSchedule"}]},
                    "status": {"conditions": ready},
                }),
                None,
            ),
            (
                "Windows",
                json!({
                    "metadata": {"labels": {"kubernetes.io/os": "windows"}},
                    "status": {"conditions": ready},
                }),
                Some("it runs windows"),
            ),
            (
                "a processor without an image",
                json!({
                    "metadata": {"labels": {"kubernetes.io/arch": "s390x"}},
                    "status": {"conditions": ready},
                }),
                Some("its processor is s390x"),
            ),
        ] {
            let node: ApiNode = serde_json::from_value(node).unwrap();
            assert_eq!(unfit(&node).as_deref(), expected, "{what}");
        }
    }
}
