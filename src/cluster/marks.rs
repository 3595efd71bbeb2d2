//! The labels, annotations and names by which a run's objects are found again.
//!
//! Probe pods carry one label of netproof's, [`PROBE`]; their run stands in their name,
//! annotation and owner, because a label that differs in each run costs some CNIs a new
//! security identity. All other objects carry their run as a label.

/// The label of everything but probe pods: the run's id.
pub const RUN: &str = "netproof.dev/run";

/// The one label that netproof adds to a probe pod; its value is empty.
pub const PROBE: &str = "netproof.dev/probe";

/// The readiness gate that nobody ever sets: the pod stays out of every Service.
pub const GUEST_GATE: &str = "netproof.dev/guest";

/// The usual label for who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`], and the field manager of all writes.
pub const MANAGER: &str = "netproof";
