//! What every call of one run has in common, and what the run has learned of the cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, api::PostParams};
use netproof_probe::wire;

use super::{Cluster, ObjectRef, change::Written, kinds::Kinds, marks, removal::Item, search};
use crate::model::RunId;

/// A run in a cluster. Clones are cheap and share what they have learned.
#[derive(Clone)]
pub struct RunContext {
    cluster: Cluster,
    run: RunId,
    agent: Arc<AgentSettings>,
    memory: Arc<Mutex<Memory>>,
    /// The cluster's kinds, as far as they were asked for.
    pub(super) kinds: Kinds,
}

/// What a run has learned of the cluster and left in it.
#[derive(Default)]
pub(super) struct Memory {
    /// Where the run's Lease is.
    pub(super) control_namespace: Option<String>,
    /// The run's ConfigMap in each namespace that has one.
    pub(super) owners: BTreeMap<String, OwnerReference>,
    /// Control ports that differ from the usual one, by namespace and pod.
    pub(super) control_ports: HashMap<(String, String), u16>,
    /// Objects of manifests that were created, in order.
    pub(super) applied: Vec<Item>,
    /// Objects of the run's own that were created.
    pub(super) made: Vec<Item>,
    /// Namespaces that were created.
    pub(super) namespaces: BTreeSet<String>,
    /// Changes of others' objects so far.
    pub(super) changes: u32,
    /// Those that are not taken back yet.
    pub(super) undo: Vec<Written>,
    /// What the run itself has written: resourceVersions, and uids of what it deleted.
    pub(super) own_writes: BTreeSet<String>,
    /// Steps may change what belongs to the cluster itself.
    pub(super) system_changes: bool,
}

/// How the agents of a run are started.
#[derive(Clone, PartialEq, Eq)]
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
        let kinds = Kinds::new(cluster.client.clone());
        Self { cluster, run, agent: Arc::new(agent), memory: Arc::default(), kinds }
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

    /// Notes in which namespace the run's Lease is going to be. A cleanup that looks at
    /// some namespaces only has to know.
    pub fn note_control_namespace(&self, namespace: &str) {
        self.memory().control_namespace = Some(namespace.to_owned());
    }

    /// Notes an object of the run's own in a namespace: the sweep finds it even where
    /// nothing may be listed.
    pub(super) fn made<K>(&self, namespace: &str, name: &str, uid: Option<String>)
    where
        K: Resource<DynamicType = ()>,
    {
        let kind = search::builtin::<K>(true);
        let reference = ObjectRef {
            api_version: kind.resource.api_version.clone(),
            kind: kind.resource.kind.clone(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        };
        let mut memory = self.memory();
        // What comes and goes with each step has one name.
        if uid.is_some() || memory.made.iter().all(|item| item.reference != reference) {
            memory.made.push(Item { reference, kind, uid, found_by: None });
        }
    }

    pub(super) fn client(&self) -> kube::Client {
        self.cluster.client.clone()
    }

    /// What the run has learned. A panic elsewhere doesn't make it worthless: the sweep
    /// needs it then more than ever.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner of the run's objects in a namespace, if it has one there.
    pub(super) fn owner(&self, namespace: &str) -> Option<OwnerReference> {
        self.memory().owners.get(namespace).cloned()
    }

    /// The port on which a pod's agent takes the kubelet's and its sessions' calls.
    pub(super) fn control_port(&self, namespace: &str, pod: &str) -> u16 {
        let key = (namespace.to_owned(), pod.to_owned());
        self.memory().control_ports.get(&key).copied().unwrap_or(wire::CONTROL_PORT)
    }

    /// Metadata of an object of the run's own.
    pub(super) fn metadata(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([
                (marks::RUN.to_owned(), self.run.to_string()),
                (marks::MANAGED_BY.to_owned(), marks::MANAGER.to_owned()),
            ])),
            ..ObjectMeta::default()
        }
    }
}

/// The parameters of every write.
pub(super) fn writing() -> PostParams {
    PostParams { field_manager: Some(marks::MANAGER.to_owned()), ..PostParams::default() }
}
