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
    /// Looks for records of changes whose run has missed to renew its Lease. By the local
    /// clock, and so no more than a hint. Nothing where they may not be listed.
    pub async fn find(cluster: &Cluster) -> Self {
        let records: Api<ConfigMap> = Api::all(cluster.client.clone());
        let of_runs = ListParams::default().labels(marks::RUN);
        let listed = Cluster::call("list configmaps", records.list(&of_runs)).await;
        let mut found = BTreeMap::<RunId, BTreeSet<String>>::new();
        for record in listed.into_iter().flat_map(|list| list.items) {
            let Some(run) = marks::run_of(&record.metadata) else { continue };
            if is_record(&run, "ConfigMap", &record.name_any())
                && let Some(namespace) = record.namespace()
            {
                found.entry(run).or_default().insert(namespace);
            }
        }
        if !found.is_empty() {
            let leases: Api<Lease> = Api::all(cluster.client.clone());
            match Cluster::call("list leases", leases.list(&of_runs)).await {
                Ok(leases) => {
                    for lease in leases.items.iter().filter(|lease| !is_overdue(lease)) {
                        if let Some(run) = marks::run_of(&lease.metadata) {
                            found.remove(&run);
                        }
                    }
                }
                Err(_) => found.clear(),
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
