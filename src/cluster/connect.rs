//! From a kubeconfig to a client that says where it is connected to.

use std::path::PathBuf;

/// A cluster and the way to it.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: kube::Client,
    context: String,
    server: String,
}

/// Where the way to the cluster is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kubeconfig {
    /// `$KUBECONFIG`, else `~/.kube/config`, else the service account of the pod that
    /// netproof itself runs in.
    Default,
    /// This file.
    File(PathBuf),
    /// This text: a sandbox's.
    Text(String),
}

/// No way to a cluster.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ConnectError {
    what: String,
    remedy: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ConnectError {
    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectError`] names the file or context that is missing or broken.
    pub async fn connect(_from: &Kubeconfig, _context: Option<&str>) -> Result<Self, ConnectError> {
        Err(ConnectError { what: String::new(), remedy: None, source: None })
    }

    /// The context's name; `in-cluster` for a pod's service account.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.server
    }
}
