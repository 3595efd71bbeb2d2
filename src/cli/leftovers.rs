//! What an earlier run has changed that was ended by force: a cluster in the middle of its
//! drill would answer for that drill, and not for the suites at hand.

use super::exit::warn;
use crate::{
    cluster::{Cluster, Unfinished},
    model::chain,
    run::Stop,
};

/// Puts back what dead runs have changed. Says so, and goes on in any case; what they made
/// is `netproof cleanup`'s to remove.
pub(super) async fn put_back(cluster: &Cluster, stop: &Stop) {
    let unfinished = Unfinished::find(cluster).await;
    if unfinished.is_empty() {
        return;
    }
    warn(
        "an earlier run seems to have been ended in the middle of its changes; its Lease is watched",
        None,
    );
    let finished = tokio::select! {
        finished = unfinished.put_back(cluster) => finished,
        () = stop.stopped() => return,
    };
    match finished {
        Ok(finished) => {
            for run in finished {
                warn(
                    &format!("put back {} objects that run {} had changed", run.restored, run.run),
                    None,
                );
                for left in run.left {
                    warn(&left, Some("`netproof cleanup` tries again"));
                }
            }
        }
        Err(error) => warn(&chain(&error), Some("`netproof cleanup` tells more")),
    }
}
