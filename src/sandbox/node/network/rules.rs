//! The firewalls of the nodes, and their logs.

use super::Network;
use crate::sandbox::{
    firewall::{Delta, Ruleset},
    flow::Socket as LogSocket,
    node::{Error, ends::entering, error::Need, tables::Tables},
};

impl Network {
    fn tables(&self, node: &str) -> Result<&Tables, Error> {
        match self.0.by_name.get(node) {
            Some(&index) => Ok(&self.0.nodes[index].tables),
            None => Err(Error::UnknownNode(node.to_owned())),
        }
    }

    /// Replaces a node's rules in one step; established connections stay.
    ///
    /// # Errors
    /// When there is no such node, or the kernel refuses: then the old rules stay.
    pub async fn apply(&self, node: &str, rules: &Ruleset) -> Result<(), Error> {
        self.tables(node)?.replace(format!("load the rules of node {node}"), rules).await
    }

    /// Lets no more bytes of rules be sent at once than this, as an ordinary user's system
    /// does (`net.core.wmem_max`): whole tables that are longer are replaced in parts.
    pub fn limit_transactions(&self, bytes: usize) {
        for node in &self.0.nodes {
            node.tables.limit(bytes);
        }
    }

    /// Changes a node's rules in one step; established connections stay.
    ///
    /// # Errors
    /// When there is no such node, or the kernel refuses: then the old rules stay.
    pub async fn apply_delta(&self, node: &str, delta: Delta) -> Result<(), Error> {
        self.tables(node)?.change(format!("change the rules of node {node}"), delta).await
    }

    /// Opens the log of a node's firewall.
    ///
    /// # Errors
    /// When there is no such node, or the kernel has no such log.
    pub(in crate::sandbox) async fn open_log(&self, node: &str) -> Result<LogSocket, Error> {
        let namespace = self.host_network(node)?.0.namespace.clone();
        let stage = format!("open the log of node {node}");
        let opened = namespace.run(LogSocket::open).await.map_err(entering)?;
        opened.map_err(|source| Error::at(stage, Need::Nothing, source))
    }
}
