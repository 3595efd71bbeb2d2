//! Workloads: the defaults that the API server fills in, and what it refuses.

mod batch;
mod defaults;
mod failure_policy;
mod schedule;
#[cfg(test)]
mod tests;
mod validate;

pub use schedule::{Schedule, ScheduleError};

pub(super) use batch::{
    default_cron_job, default_job, select_by_uid, validate_cron_job, validate_job,
};
pub(super) use defaults::{
    count_templates, default_daemon_set, default_deployment, default_replicas,
    default_replication_controller, default_stateful_set, no_replicas_yet, nothing_disrupted_yet,
    nothing_scheduled_yet,
};
pub(super) use validate::{
    validate_daemon_set, validate_deployment, validate_disruption_budget, validate_replica_set,
    validate_replication_controller, validate_stateful_set,
};
