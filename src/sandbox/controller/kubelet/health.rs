//! How the nodes are: faults make them fall silent, or die.

use std::collections::HashMap;

use serde_json::Value;
use tokio::sync::watch;

use crate::sandbox::fault::{Fault, NodeFault};

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// As it should be.
    Up,
    /// What runs goes on; its kubelet does nothing and says nothing.
    Silent,
    /// Nothing runs.
    Dead,
}

/// How all nodes are, by their names.
#[derive(Debug)]
pub(super) struct Nodes(HashMap<String, watch::Sender<Health>>);

impl Nodes {
    /// All are up.
    pub(super) fn new(names: impl Iterator<Item = String>) -> Self {
        Self(names.map(|name| (name, watch::Sender::new(Health::Up))).collect())
    }

    /// How a node is; one that nobody knows is dead.
    pub(super) fn now(&self, node: &str) -> Health {
        self.0.get(node).map_or(Health::Dead, |health| *health.borrow())
    }

    /// How a node is, from now on.
    pub(super) fn watch(&self, node: &str) -> watch::Receiver<Health> {
        match self.0.get(node) {
            Some(health) => health.subscribe(),
            None => watch::Sender::new(Health::Dead).subscribe(),
        }
    }

    /// Takes over what the faults say. Gives the nodes that have changed.
    pub(super) fn update<'a>(
        &self,
        faults: impl Iterator<Item = &'a Value> + Clone,
    ) -> Vec<(String, Health)> {
        let mut changed = Vec::new();
        for (name, sender) in &self.0 {
            let health = health(name, faults.clone());
            let new = sender.send_if_modified(|now| std::mem::replace(now, health) != health);
            if new {
                changed.push((name.clone(), health));
            }
        }
        changed
    }
}

fn health<'a>(node: &str, faults: impl Iterator<Item = &'a Value>) -> Health {
    let mut health = Health::Up;
    for fault in faults.filter_map(Fault::of) {
        match fault {
            Fault::Node(NodeFault::Fail(name)) if name == node => return Health::Dead,
            Fault::Node(NodeFault::KubeletSilent(name)) if name == node => health = Health::Silent,
            _ => {}
        }
    }
    health
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_the_node_that_they_are_about() {
        let fault = |text: &str| json!({"spec": {"fault": text}});
        for (faults, expected) in [
            (vec![], Health::Up),
            (vec![fault("fail-node=node-2")], Health::Up),
            (vec![fault("kubelet-silent=node-1")], Health::Silent),
            (vec![fault("fail-node=node-1")], Health::Dead),
            (vec![fault("fail-node=node-1"), fault("kubelet-silent=node-1")], Health::Dead),
            (vec![fault("reject"), fault("nonsense")], Health::Up),
        ] {
            assert_eq!(health("node-1", faults.iter()), expected, "{faults:?}");
        }
        let nodes = Nodes::new(["node-1".to_owned()].into_iter());
        let dead = [fault("fail-node=node-1")];
        assert_eq!(nodes.update(dead.iter()), [("node-1".to_owned(), Health::Dead)]);
        assert_eq!(nodes.update(dead.iter()), [], "nothing new");
        assert_eq!(nodes.now("node-1"), Health::Dead);
    }
}
