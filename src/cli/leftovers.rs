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
    let runs: Vec<String> = unfinished.runs().map(|run| format!("run {run}")).collect();
    warn(
        &format!(
            "{} changed what isn't netproof's and has not put it back; for up to 15 s its Lease \
             is watched, to see whether it is alive",
            runs.join(" and ")
        ),
        None,
    );
    let watched = tokio::select! {
        watched = unfinished.put_back(cluster) => watched,
        () = stop.stopped() => return,
    };
    match watched {
        Ok(watched) => {
            for run in watched.alive {
                warn(
                    &format!("run {run} is alive: what it has changed stays, and may be seen here"),
                    None,
                );
            }
            for run in watched.finished {
                warn(
                    &format!(
                        "run {} was killed: put back {} objects that it had changed",
                        run.run, run.restored
                    ),
                    Some("`netproof cleanup` removes what it had made"),
                );
                for left in run.left {
                    warn(&left, Some("`netproof cleanup` tries again"));
                }
            }
        }
        Err(error) => warn(&chain(&error), Some("`netproof cleanup` tells more")),
    }
}
