//! Which nodes a run may use: those that were asked for, those that the cluster has, or,
//! where these can't be listed, those that pods nearby run on.

use std::collections::BTreeSet;

use super::{Exit, exit};
use crate::{
    cluster::{Cluster, Error, ErrorKind, Node, Nodes},
    model::chain,
    plan,
    suite::{Peer, Suite},
};

/// Why no nodes could be chosen.
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) remedy: Option<String>,
    pub(super) exit: Exit,
}

/// Chooses the nodes that probe pods may be placed on.
pub(super) async fn choose(
    cluster: &Cluster,
    suites: &[Suite],
    wanted: &[String],
    control_namespace: Option<&str>,
) -> Result<Vec<plan::Node>, Refusal> {
    let chosen = match cluster.nodes().await {
        Ok(nodes) => among(nodes, wanted)?,
        Err(error) if error.kind() != ErrorKind::Forbidden => return Err(Refusal::of(&error)),
        Err(_) if !wanted.is_empty() => wanted.iter().cloned().map(Node::of_name).collect(),
        Err(error) => {
            let places = existing(suites, control_namespace);
            let nodes = cluster.nodes_in_use(&places).await.unwrap_or_default();
            if nodes.is_empty() {
                return Err(Refusal {
                    remedy: Some(
                        "name the nodes to use with --node, or ask for the permission to list nodes"
                            .into(),
                    ),
                    ..Refusal::of(&error)
                });
            }
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            exit::warn(
                &format!(
                    "nodes can't be listed; using those that pods in {} run on: {}",
                    places.into_iter().collect::<Vec<_>>().join(", "),
                    names.join(", ")
                ),
                Some("--node names others"),
            );
            nodes
        }
    };
    let plain = |node: Node| plan::Node { name: node.name, labels: node.labels };
    Ok(chosen.into_iter().map(plain).collect())
}

/// All that are usable, or those of them that are wanted.
fn among(nodes: Nodes, wanted: &[String]) -> Result<Vec<Node>, Refusal> {
    let refuse = |message: String| {
        let remedy = Some("probe pods need a node that is ready, schedulable and untainted".into());
        Err(Refusal { message, remedy, exit: Exit::BadInput })
    };
    let is_usable = |name: &String| nodes.usable.iter().any(|node| node.name == *name);
    if let Some(name) = wanted.iter().find(|name| !is_usable(name)) {
        return refuse(match nodes.others.iter().find(|(other, _)| other == name) {
            Some((_, reason)) => format!("node {name} takes no probe pods: {reason}"),
            None => format!("the cluster has no node {name}"),
        });
    }
    if nodes.usable.is_empty() {
        let reasons = nodes.others.iter().map(|(name, reason)| format!("{name}: {reason}"));
        let reasons: Vec<String> = reasons.collect();
        return refuse(format!("no node takes probe pods: {}", reasons.join("; ")));
    }
    let is_wanted = |node: &Node| wanted.is_empty() || wanted.contains(&node.name);
    Ok(nodes.usable.into_iter().filter(is_wanted).collect())
}

/// The namespaces that are there before the run.
fn existing(suites: &[Suite], control_namespace: Option<&str>) -> BTreeSet<String> {
    let of_peers = suites.iter().flat_map(|suite| {
        suite.peers.values().filter_map(|peer| match peer {
            Peer::Pod(pod) if !suite.setup.namespaces.contains_key(&pod.namespace) => {
                Some(pod.namespace.clone())
            }
            _ => None,
        })
    });
    of_peers.chain(control_namespace.map(str::to_owned)).collect()
}

impl Refusal {
    /// An error of the first calls, before anything was touched.
    pub(super) fn of(error: &Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Forbidden | ErrorKind::Unauthorized => Exit::BadInput,
            _ => Exit::Undecided,
        };
        Self { message: chain(error), remedy: error.remedy(), exit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Nodes {
        Nodes {
            usable: ["node-1", "node-2"].map(|name| Node::of_name(name.into())).into(),
            others: vec![("cp".into(), "it is cordoned".into())],
        }
    }

    #[test]
    fn wanted_nodes_must_be_usable() {
        for (what, nodes, wanted, expected) in [
            ("all", cluster(), &[][..], Ok(vec!["node-1", "node-2"])),
            ("one", cluster(), &["node-2"], Ok(vec!["node-2"])),
            ("cordoned", cluster(), &["cp"], Err("node cp takes no probe pods: it is cordoned")),
            ("none such", cluster(), &["node-9"], Err("the cluster has no node node-9")),
            (
                "none usable",
                Nodes { usable: Vec::new(), ..cluster() },
                &[],
                Err("no node takes probe pods: cp: it is cordoned"),
            ),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            let found = among(nodes, &wanted).map_err(|refusal| refusal.message);
            let found = found.map(|nodes| nodes.into_iter().map(|node| node.name).collect());
            let expected = expected
                .map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>())
                .map_err(str::to_owned);
            assert_eq!(found, expected, "{what}");
        }
    }
}
