//! What a run that was ended by force had changed and not put back: the next one does, before
//! it asks a cluster that stands in the middle of somebody else's drill.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};

use tokio::time::Instant;

use super::{
    Cluster, Error,
    change::{is_record, undo_run},
    cleanup::pulse,
    lease, marks,
};
use crate::model::RunId;

/// Runs that have changed what isn't theirs and not put it back, with the namespaces that
/// hold their records of it. They are in the middle of it, or dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished(BTreeMap<RunId, BTreeSet<String>>);

/// What watching such runs has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// They have renewed their Lease, and go on.
    pub alive: Vec<RunId>,
    /// They were dead, and what they had changed was put back.
    pub finished: Vec<Finished>,
}

/// What became of the changes of one such run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which run.
    pub run: RunId,
    /// How many objects are as they were.
    pub restored: usize,
    /// What somebody else has changed since, and what could not be put back.
    pub left: Vec<String>,
}

/// How often Leases are looked at; live runs renew theirs every 3 s.
const LOOK: Duration = Duration::from_secs(1);

impl Unfinished {
    /// Looks for other runs' Leases, and only where there is one for records of changes: who
    /// never meets another run needs no right to list ConfigMaps. Nothing where they may not
    /// be listed.
    pub async fn find(cluster: &Cluster) -> Self {
        let Ok(leases) = pulse(cluster).await else { return Self::default() };
        if leases.is_empty() {
            return Self::default();
        }
        let of_runs = ListParams::default().labels(marks::RUN);
        let records: Api<ConfigMap> = Api::all(cluster.client.clone());
        let records = Cluster::call("list configmaps", records.list(&of_runs)).await;
        let mut found = BTreeMap::<RunId, BTreeSet<String>>::new();
        for record in records.into_iter().flat_map(|list| list.items) {
            let run = marks::run_of(&record.metadata).filter(|run| leases.contains_key(run));
            if let (Some(run), Some(namespace)) = (run, record.namespace())
                && is_record(&run, "ConfigMap", &record.name_any())
            {
                found.entry(run).or_default().insert(namespace);
            }
        }
        Self(found)
    }

    /// Which runs.
    pub fn runs(&self) -> impl Iterator<Item = &RunId> {
        self.0.keys()
    }

    /// True if there is nothing to put back.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Watches their Leases, and puts back what those have changed whose Lease this call has
    /// itself seen unrenewed for its whole duration; no clock is believed. It ends as soon as
    /// all are known to live. What the dead ones made stays for a cleanup.
    ///
    /// # Errors
    /// Leases can't be listed, so that nothing could be told.
    pub async fn put_back(&self, cluster: &Cluster) -> Result<Watched, Error> {
        let before = pulse(cluster).await?;
        let begun = Instant::now();
        let mut watched = Watched::default();
        let mut suspects: Vec<&RunId> = self.0.keys().collect();
        while !suspects.is_empty() && begun.elapsed() < lease::DURATION {
            tokio::time::sleep(LOOK).await;
            let now = pulse(cluster).await?;
            suspects.retain(|run| {
                // One whose Lease is gone has ended by itself, or somebody else sees to it.
                let Some(beat) = now.get(run) else { return false };
                let is_alive = before.get(run) != Some(beat);
                if is_alive {
                    watched.alive.push((*run).clone());
                }
                !is_alive
            });
        }
        for run in suspects {
            let records = self.0[run].iter().map(String::as_str);
            let undone = undo_run(cluster, run, records).await;
            watched.finished.push(Finished {
                run: run.clone(),
                restored: undone.restored,
                left: [undone.kept, undone.failed].concat(),
            });
        }
        Ok(watched)
    }
}
