//! Workloads: what makes pods, and keeps as many of them as somebody asked for.
//!
//! ```text
//! CronJob ─▶ Job ─────────────┐
//! Deployment ─▶ ReplicaSet ───┼─▶ pods
//! StatefulSet, DaemonSet, ────┘
//! ReplicationController
//! ```
//!
//! Each controller looks at one object at a time (see [`super::worker`]) and knows its
//! dependents by the store's index of owners. What is read is what was written last, so
//! that no controller needs to remember what it is waiting for.

mod claim;
mod condition;
mod cron_job;
mod daemon_set;
mod deployment;
mod hands;
mod hash;
mod job;
mod pod;
mod rank;
mod replica_set;
mod revision;
mod stateful_set;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{events::Recorder, worker};
use crate::sandbox::api::store::Store;
pub(super) use hands::Hands;

pub(super) use claim::{Claims, selector_of};
pub(super) use deployment::resolve;
pub(super) use hands::{controller_of, number};
pub(super) use pod::{has_ended, is_ready, mark, time};

/// Runs the controllers of all workloads until cancelled.
pub async fn run_workloads(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let hands = Hands { store: Arc::clone(&store), events };
    let (store, cancel) = (|| Arc::clone(&store), || cancel.clone());
    tokio::join!(
        worker::run(store(), replica_set::replica_sets(&hands), cancel()),
        worker::run(store(), replica_set::replication_controllers(&hands), cancel()),
        worker::run(store(), deployment::Deployments::new(&hands), cancel()),
        worker::run(store(), stateful_set::StatefulSets::new(&hands), cancel()),
        worker::run(store(), stateful_set::Claims::new(&hands), cancel()),
        worker::run(store(), daemon_set::DaemonSets::new(&hands), cancel()),
        worker::run(store(), job::Jobs::new(&hands), cancel()),
        worker::run(store(), cron_job::CronJobs::new(&hands), cancel()),
    );
}
