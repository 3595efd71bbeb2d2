//! The labels, annotations and names by which a run's objects are found again.
//!
//! Probe pods carry one label of netproof's, [`PROBE`]; their run stands in their name,
//! annotation and owner, because a label that differs in each run costs some CNIs a new
//! security identity. All other objects carry their run as a label.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::RunId;

/// The run's id: a label of everything but probe pods, an annotation of these.
pub const RUN: &str = "netproof.dev/run";

/// An annotation of a run's ConfigMap: the namespace that holds the run's Lease.
pub const LEASE_NAMESPACE: &str = "netproof.dev/lease-namespace";

/// The one label that netproof adds to a probe pod; its value is empty.
pub const PROBE: &str = "netproof.dev/probe";

/// The readiness gate that nobody ever sets: the pod stays out of every Service.
pub const GUEST_GATE: &str = "netproof.dev/guest";

/// The usual label for who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`], and the field manager of all writes.
pub const MANAGER: &str = "netproof";

/// The name of a run's ConfigMap and Lease.
pub fn run_object(run: &RunId) -> String {
    format!("np-{run}")
}

/// The run that an object belongs to, by its label or annotation.
pub fn run_of(metadata: &ObjectMeta) -> Option<RunId> {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(RUN));
    let annotation = || metadata.annotations.as_ref().and_then(|notes| notes.get(RUN));
    label.or_else(annotation)?.parse().ok()
}

/// The label selector for a run's objects other than pods.
pub fn selector(run: &RunId) -> String {
    format!("{RUN}={run}")
}
