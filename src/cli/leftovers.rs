//! What an earlier run has left that was ended by force: a cluster in the middle of its
//! drill would answer for that drill, and not for the suites at hand.

use tokio_util::sync::CancellationToken;

use super::exit::warn;
use crate::{
    cluster::{CleanupOptions, Cluster, cleanup, looks_abandoned},
    model::chain,
    run::Stop,
};

/// Puts back what dead runs have changed, and removes what they made. Says so, and goes on
/// in any case.
pub(super) async fn clear(cluster: &Cluster, stop: &Stop) {
    if !looks_abandoned(cluster).await {
        return;
    }
    let options = CleanupOptions::default();
    warn(
        &format!(
            "an earlier run seems to have been ended by force; its Lease is watched for {} s",
            options.unrenewed.as_secs()
        ),
        None,
    );
    let cancel = CancellationToken::new();
    let cleaning = cleanup(cluster, &options, &cancel);
    let report = tokio::select! {
        report = cleaning => report,
        () = stop.stopped() => return,
    };
    match report {
        Ok(report) => {
            for run in report.abandoned {
                let message = format!(
                    "run {} was dead: put back {}, removed {}, left {}",
                    run.run,
                    run.restored,
                    run.removed,
                    run.left.len() + run.kept.len()
                );
                warn(&message, (!run.left.is_empty()).then_some("`netproof cleanup` tries again"));
            }
        }
        Err(error) => warn(&chain(&error), Some("`netproof cleanup` tells more")),
    }
}
