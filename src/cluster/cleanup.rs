//! Removing what dead runs have left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt, api::ListParams};
use tokio_util::sync::CancellationToken;

use super::{
    Cluster, Error, ErrorKind,
    change::{is_record, undo_run},
    lease, marks, removal,
    search::{self, Remains},
};
use crate::model::RunId;

/// Runs that are removed at a time.
const PARALLEL: usize = 4;

/// How to clean up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupOptions {
    /// Only say what would be removed.
    pub dry_run: bool,
    /// How long a run's objects may take to go.
    pub within: Duration,
    /// How long a Lease must be seen unrenewed; live runs renew theirs every 3 s.
    pub unrenewed: Duration,
    /// Look at these namespaces only, for whoever may not list in all of them; at
    /// everything where empty.
    pub namespaces: BTreeSet<String>,
}

impl Default for CleanupOptions {
    /// Removes, waits two minutes for each run (namespaces are slow), and takes a Lease's
    /// own 15 s for the limit between life and death.
    fn default() -> Self {
        Self {
            dry_run: false,
            within: Duration::from_mins(2),
            unrenewed: lease::DURATION,
            namespaces: BTreeSet::new(),
        }
    }
}

/// What a cleanup found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupReport {
    /// Runs whose Lease is still renewed; they were left alone.
    pub alive: Vec<RunId>,
    /// Runs that were removed, or would have been.
    pub abandoned: Vec<AbandonedRun>,
    /// What could not be looked at, and so may hide more.
    pub unseen: Vec<String>,
}

/// A run that nobody attends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbandonedRun {
    /// Which.
    pub run: RunId,
    /// What it left, in words: `Namespace np-abcdef-shop`.
    pub found: Vec<String>,
    /// How many of these were removed.
    pub removed: usize,
    /// What is left, with the reason.
    pub left: Vec<String>,
    /// How many objects of others, which it had changed, are as they were again.
    pub restored: usize,
    /// What of those somebody else has changed since and was left alone.
    pub kept: Vec<String>,
}

/// What tells one renewal of a Lease from the next.
pub(super) type Pulse = BTreeMap<RunId, BTreeSet<String>>;

/// Removes the objects of every run whose Lease this call has itself seen unrenewed for
/// [`CleanupOptions::unrenewed`], by its own clock; those of a run without a Lease after as
/// long without one. Several cleanups at once do no harm.
///
/// # Errors
/// Kinds or Leases can't be listed, so that nothing could be told, or it was cancelled.
pub async fn cleanup(
    cluster: &Cluster,
    options: &CleanupOptions,
    cancel: &CancellationToken,
) -> Result<CleanupReport, Error> {
    cancel
        .run_until_cancelled(clean(cluster, options))
        .await
        .unwrap_or_else(|| Err(Error::new("clean up", ErrorKind::Other, "it was interrupted")))
}

async fn clean(cluster: &Cluster, options: &CleanupOptions) -> Result<CleanupReport, Error> {
    if options.namespaces.is_empty() {
        let before = pulse(cluster).await?;
        let seen = Instant::now();
        let remains = search::everything(cluster, None).await?;
        if remains.runs.is_empty() {
            return Ok(CleanupReport { unseen: unseen(&remains), ..CleanupReport::default() });
        }
        // Time itself is what is waited for.
        tokio::time::sleep_until((seen + options.unrenewed).into()).await;
        let after = pulse(cluster).await?;
        return Ok(bury(cluster, options, remains, &before, &after).await);
    }
    let mut remains = search::everything(cluster, Some(&options.namespaces)).await?;
    let before = pulse_of(cluster, &mut remains).await?;
    if remains.runs.is_empty() {
        return Ok(CleanupReport { unseen: unseen(&remains), ..CleanupReport::default() });
    }
    tokio::time::sleep(options.unrenewed).await;
    let after = pulse_of(cluster, &mut remains).await?;
    Ok(bury(cluster, options, remains, &before, &after).await)
}

fn unseen(remains: &Remains) -> Vec<String> {
    remains.unseen.iter().chain(&remains.forbidden).cloned().collect()
}

/// Removes what is left of the runs whose pulse has stood still.
async fn bury(
    cluster: &Cluster,
    options: &CleanupOptions,
    remains: Remains,
    before: &Pulse,
    after: &Pulse,
) -> CleanupReport {
    let mut report = CleanupReport { unseen: unseen(&remains), ..CleanupReport::default() };
    // A run whose Lease went away meanwhile is over, by itself or by another cleanup: it is
    // not alive, and what is left of it is for those who were there first.
    let gone = |run: &RunId| before.contains_key(run) && !after.contains_key(run);
    let (dead, alive): (Vec<_>, Vec<_>) = remains
        .runs
        .into_iter()
        .filter(|(run, _)| !gone(run))
        .partition(|(run, _)| before.get(run) == after.get(run));
    report.alive = alive.into_iter().map(|(run, _)| run).collect();
    let removals = dead.into_iter().map(async |(run, items)| {
        let records: BTreeSet<String> = items
            .iter()
            .filter(|item| is_record(&run, &item.reference.kind, &item.reference.name))
            .filter_map(|item| item.reference.namespace.clone())
            .collect();
        let mut items = search::without_contents(items);
        let mut found: Vec<String> = items.iter().map(|item| item.reference.to_string()).collect();
        found.sort();
        let mut abandoned = AbandonedRun {
            run,
            found,
            removed: 0,
            left: Vec::new(),
            restored: 0,
            kept: Vec::new(),
        };
        if options.dry_run {
            return abandoned;
        }
        // First of all, while its records are still there.
        let undone = undo_run(cluster, &abandoned.run, records.iter().map(String::as_str)).await;
        if !undone.failed.is_empty() {
            // What tells how things were must stay until they are so again.
            items.retain(|item| {
                let place = item.reference.namespace.as_ref().unwrap_or(&item.reference.name);
                !records.contains(place)
            });
        }
        let removal = removal::remove(cluster, items, Instant::now() + options.within).await;
        abandoned.removed = removal.removed;
        abandoned.left = [undone.failed, removal.left].concat();
        abandoned.restored = undone.restored;
        abandoned.kept = undone.kept;
        abandoned
    });
    report.abandoned = stream::iter(removals).buffered(PARALLEL).collect().await;
    report
}

/// The pulse of these runs, by the Leases that they have named. A run whose Lease can't be
/// looked at may be alive: it is left out from now on, and that is told.
async fn pulse_of(cluster: &Cluster, remains: &mut Remains) -> Result<Pulse, Error> {
    let mut pulse = Pulse::new();
    let runs: Vec<RunId> = remains.runs.keys().cloned().collect();
    for run in runs {
        let name = marks::run_object(&run);
        let Some(namespace) = remains.lease_namespaces.get(&run) else {
            remains.runs.remove(&run);
            remains.unseen.push(format!(
                "run {run} has left something, and nothing there tells where its Lease is"
            ));
            continue;
        };
        let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
        let what = format!("get lease {namespace}/{name}");
        match Cluster::call(what, leases.get(&name)).await {
            Ok(lease) => {
                pulse.entry(run).or_default().insert(beat(lease));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                remains.runs.remove(&run);
                remains.unseen.push(format!("whether run {run} is alive: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pulse)
}

/// What changes with each renewal.
fn beat(lease: Lease) -> String {
    let version = lease.resource_version().unwrap_or_default();
    format!("{version} {:?}", lease.spec.and_then(|spec| spec.renew_time))
}

/// Every run's Leases as they are now.
pub(super) async fn pulse(cluster: &Cluster) -> Result<Pulse, Error> {
    let leases: Api<Lease> = Api::all(cluster.client.clone());
    let of_runs = ListParams::default().labels(marks::RUN);
    let listed =
        Cluster::call("list leases, which tell live runs from dead ones", leases.list(&of_runs))
            .await?;
    let mut pulse = Pulse::new();
    for lease in listed.items {
        let Some(run) = marks::run_of(&lease.metadata) else { continue };
        pulse.entry(run).or_default().insert(beat(lease));
    }
    Ok(pulse)
}
