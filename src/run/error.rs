//! Why a run could not go on.

use crate::{
    cluster::{self, NotReady},
    model::chain,
};

/// Why a run could not go on. What was created is swept all the same.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A call to the cluster failed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Probe pods did not become ready.
    #[error("{0}")]
    NotReady(NotReady),
    /// A label that the server had taken was not seen on the pod.
    #[error("label pod {namespace}/{pod}: the server took the labels, and does not show them")]
    Relabelled {
        /// The pod's namespace.
        namespace: String,
        /// Its name.
        pod: String,
    },
    /// An object holds an address that no pod has.
    #[error("{what}: {message}")]
    Address {
        /// The manifest's file, or the change.
        what: String,
        /// Which address.
        message: String,
    },
    /// An agent gave no sign of life.
    #[error(transparent)]
    Session(#[from] cluster::SessionError),
    /// A sweeper may take this run's objects away.
    #[error("the run's Lease was lost: {0}")]
    LeaseLost(String),
    /// A defect of netproof.
    #[error("internal error: {0}")]
    Panic(String),
}

impl RunError {
    /// Stage, object and cause; a line for each pod where pods are the cause.
    pub(super) fn explain(&self) -> String {
        match self {
            Self::NotReady(not_ready) => explain(not_ready),
            other => chain(other),
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.remedy(),
            Self::NotReady(not_ready) => not_ready.remedy().map(str::to_owned),
            Self::Session(error) => error.remedy.clone(),
            Self::LeaseLost(_)
            | Self::Panic(_)
            | Self::Relabelled { .. }
            | Self::Address { .. } => None,
        }
    }

    /// The error that a panic amounts to.
    pub(super) fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panic(text.unwrap_or_else(|| "panic".to_owned()))
    }
}

/// Each pod that isn't ready, with what keeps it.
fn explain(not_ready: &NotReady) -> String {
    let mut text = not_ready.to_string();
    for pod in &not_ready.pods {
        text.push_str(&format!("\n  {}/{}: {}", pod.namespace, pod.name, pod.phase));
        for reason in &pod.reasons {
            text.push_str(&format!("\n    {reason}"));
        }
    }
    text
}
