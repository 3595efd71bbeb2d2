//! Making namespaces, owners and probe pods.

use std::{collections::BTreeMap, time::Instant};

use super::{Error, RunContext};
use crate::{model::Labels, plan::PlannedPod};

/// A probe pod as the API server took it.
#[derive(Clone, Debug)]
pub struct CreatedPod {
    /// Its uid.
    pub uid: String,
    /// When the server's answer came.
    pub written: Instant,
}

impl RunContext {
    /// Creates a namespace of the suite's. One that exists is never taken over.
    ///
    /// # Errors
    /// It exists already, or may not be created.
    pub async fn create_namespace(
        &self,
        _name: &str,
        _labels: &Labels,
        _annotations: &BTreeMap<String, String>,
    ) -> Result<Instant, Error> {
        Err(Error::deadline("create namespace"))
    }

    /// Creates the control namespace, at the `restricted` Pod Security level.
    ///
    /// # Errors
    /// As [`Self::create_namespace`].
    pub async fn create_control_namespace(&self, _name: &str) -> Result<Instant, Error> {
        Err(Error::deadline("create namespace"))
    }

    /// Creates the ConfigMap `np-<run>` that owns the run's objects in a namespace that
    /// the run did not create. Pods and objects created there afterwards name it as owner.
    ///
    /// # Errors
    /// It may not be created.
    pub async fn create_owner(&self, _namespace: &str) -> Result<(), Error> {
        Err(Error::deadline("create configmap"))
    }

    /// Creates a probe pod. With `gate` it stays out of every Service; with `controller`
    /// its owner is a controller, so that no other one adopts it.
    ///
    /// # Errors
    /// The pod is refused, or exists already.
    pub async fn create_pod(
        &self,
        _pod: &PlannedPod,
        _gate: bool,
        _controller: bool,
    ) -> Result<CreatedPod, Error> {
        Err(Error::deadline("create pod"))
    }
}
