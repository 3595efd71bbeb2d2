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
mod deployment;
mod hands;
mod hash;
mod pod;
mod rank;
mod replica_set;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{events::Recorder, worker};
use crate::sandbox::api::store::Store;
use hands::Hands;

pub(super) use claim::{Claims, selector_of};
pub(super) use hands::controller_of;
pub(super) use pod::has_ended;

/// Runs the controllers of all workloads until cancelled.
pub async fn run_workloads(store: Arc<Store>, events: Recorder, cancel: CancellationToken) {
    let hands = Hands { store: Arc::clone(&store), events };
    let (store, cancel) = (|| Arc::clone(&store), || cancel.clone());
    tokio::join!(
        worker::run(store(), replica_set::replica_sets(&hands), cancel()),
        worker::run(store(), replica_set::replication_controllers(&hands), cancel()),
        worker::run(store(), deployment::Deployments::new(&hands), cancel()),
    );
}
