//! What a run that was ended by force had changed and not put back: the next one does, before
//! it asks a cluster that stands in the middle of somebody else's drill.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::ConfigMap},
    jiff::Timestamp,
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    Cluster, Error,
    change::{is_record, undo_run},
    cleanup::pulse,
    lease, marks,
};
use crate::model::RunId;

/// Runs that seem to be dead, with the namespaces that hold records of their changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished(BTreeMap<RunId, BTreeSet<String>>);

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

impl Unfinished {
    /// Looks for runs that have missed to renew their Lease, and only then for records of
    /// changes: who never meets a dead run needs no right to list ConfigMaps. By the local
    /// clock, and so no more than a hint. Nothing where they may not be listed.
    pub async fn find(cluster: &Cluster) -> Self {
        let of_runs = ListParams::default().labels(marks::RUN);
        let leases: Api<Lease> = Api::all(cluster.client.clone());
        let leases = Cluster::call("list leases", leases.list(&of_runs)).await;
        let (overdue, alive): (Vec<_>, Vec<_>) =
            leases.into_iter().flat_map(|list| list.items).partition(is_overdue);
        let runs_of = |leases: Vec<Lease>| -> BTreeSet<RunId> {
            leases.iter().filter_map(|lease| marks::run_of(&lease.metadata)).collect()
        };
        let (mut dead, alive) = (runs_of(overdue), runs_of(alive));
        dead.retain(|run| !alive.contains(run));
        if dead.is_empty() {
            return Self::default();
        }
        let records: Api<ConfigMap> = Api::all(cluster.client.clone());
        let records = Cluster::call("list configmaps", records.list(&of_runs)).await;
        let mut found = BTreeMap::<RunId, BTreeSet<String>>::new();
        for record in records.into_iter().flat_map(|list| list.items) {
            let run = marks::run_of(&record.metadata).filter(|run| dead.contains(run));
            if let (Some(run), Some(namespace)) = (run, record.namespace())
                && is_record(&run, "ConfigMap", &record.name_any())
            {
                found.entry(run).or_default().insert(namespace);
            }
        }
        Self(found)
    }

    /// True if there is nothing to put back.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts back what those runs have changed whose Leases this call has itself seen
    /// unrenewed for their whole duration. What they made stays for a cleanup.
    ///
    /// # Errors
    /// Leases can't be listed, so that nothing could be told.
    pub async fn put_back(&self, cluster: &Cluster) -> Result<Vec<Finished>, Error> {
        let before = pulse(cluster).await?;
        // Time itself is what is waited for.
        tokio::time::sleep(lease::DURATION).await;
        let after = pulse(cluster).await?;
        let mut finished = Vec::new();
        for (run, namespaces) in &self.0 {
            if before.get(run) == after.get(run) {
                let undone = undo_run(cluster, run, namespaces.iter().map(String::as_str)).await;
                finished.push(Finished {
                    run: run.clone(),
                    restored: undone.restored,
                    left: [undone.kept, undone.failed].concat(),
                });
            }
        }
        Ok(finished)
    }
}

fn is_overdue(lease: &Lease) -> bool {
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    renewed.is_none_or(|renewed| {
        Timestamp::now().duration_since(renewed.0).unsigned_abs() > lease::OVERDUE
    })
}
