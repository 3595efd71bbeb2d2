//! What every call of one run has in common.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::Cluster;
use crate::model::RunId;

/// A run in a cluster. Clones are cheap and share what they have learned.
#[derive(Clone)]
pub struct RunContext {
    cluster: Cluster,
    run: RunId,
    agent: Arc<AgentSettings>,
    /// The run's ConfigMap in each namespace that the run did not create.
    pub(crate) owners: Arc<Mutex<BTreeMap<String, OwnerReference>>>,
}

/// How the agents of a run are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// The probe image.
    pub image: String,
    /// `imagePullPolicy`; the cluster's default where absent.
    pub pull_policy: Option<String>,
    /// The run's key, 64 hex digits.
    pub key: String,
    /// How long an agent lives without a heartbeat of any session.
    pub idle_limit: Duration,
    /// `activeDeadlineSeconds`: the kubelet ends the pod after it in any case.
    pub active_deadline: Duration,
}

impl RunContext {
    /// A run's view of a cluster.
    pub fn new(cluster: Cluster, run: RunId, agent: AgentSettings) -> Self {
        Self { cluster, run, agent: Arc::new(agent), owners: Arc::default() }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The run's id.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// How agents are started.
    pub fn agent(&self) -> &AgentSettings {
        &self.agent
    }
}
