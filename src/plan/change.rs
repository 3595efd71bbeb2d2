//! The changes of a step, by names in the cluster.

use std::collections::BTreeMap;

use super::{PlannedChange, PodIndex, identity::Identities, objects::ObjectNames};
use crate::suite::{Change, Labelled, Step, Wait};

/// What the changes of a suite are planned from.
pub(super) struct Changes<'a> {
    pub(super) names: &'a ObjectNames<'a>,
    /// Names in the cluster, by alias.
    pub(super) namespaces: &'a BTreeMap<String, String>,
    pub(super) identities: &'a Identities<'a>,
    /// The pods of each identity: its own, and its copies on other nodes.
    pub(super) pods: &'a BTreeMap<usize, Vec<PodIndex>>,
}

impl Changes<'_> {
    /// The changes of a step. Those of pods that no case needs are left out.
    pub(super) fn plan(&self, step: &Step) -> Vec<PlannedChange> {
        let mut planned = Vec::new();
        for change in &step.changes {
            match change {
                Change::Apply(manifest) => {
                    let objects = manifest.objects.iter();
                    planned.extend(
                        objects
                            .map(|object| self.names.object(&manifest.source, object))
                            .map(PlannedChange::Apply),
                    );
                }
                Change::Patch { object, patch } => planned.push(PlannedChange::Patch {
                    object: self.names.name(object),
                    patch: patch.with_body(self.names.body(patch.body())),
                }),
                Change::Delete(object) => {
                    planned.push(PlannedChange::Delete(self.names.name(object)));
                }
                Change::Label { of: Labelled::Peer(peer), set, remove } => {
                    planned.push(PlannedChange::LabelPods {
                        pods: self.pods_of(peer),
                        set: set.clone(),
                        remove: remove.clone(),
                    });
                }
                Change::Label { of: Labelled::Namespace(alias), set, remove } => {
                    let namespace = self.namespaces.get(alias).unwrap_or(alias).clone();
                    planned.push(PlannedChange::LabelNamespace {
                        namespace,
                        set: set.clone(),
                        remove: remove.clone(),
                    });
                }
                Change::DeletePeer(peer) => {
                    planned.push(PlannedChange::DeletePods(self.pods_of(peer)));
                }
                Change::CreatePeer(peer) => {
                    planned.push(PlannedChange::CreatePods(self.pods_of(peer)));
                }
                Change::Wait(wait) => planned.push(PlannedChange::Wait(match wait {
                    Wait::Time(time) => Wait::Time(*time),
                    Wait::Condition { object, condition, timeout } => Wait::Condition {
                        object: self.names.name(object),
                        condition: condition.clone(),
                        timeout: *timeout,
                    },
                })),
            }
        }
        // Peers that share a pod share its changes too.
        let mut once: Vec<PlannedChange> = Vec::new();
        for change in planned {
            let again = match &change {
                PlannedChange::LabelPods { pods, .. }
                | PlannedChange::DeletePods(pods)
                | PlannedChange::CreatePods(pods) => pods.is_empty() || once.contains(&change),
                _ => false,
            };
            if !again {
                once.push(change);
            }
        }
        once
    }

    fn pods_of(&self, peer: &str) -> Vec<PodIndex> {
        let identity = self.identities.of(peer);
        identity.and_then(|identity| self.pods.get(&identity)).cloned().unwrap_or_default()
    }
}
