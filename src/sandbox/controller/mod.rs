//! What makes stored objects come true: one controller for each chore.
//!
//! Controllers are level-triggered. A signal says that something of interest has changed;
//! the controller then looks at the store as it is and writes what is missing. A signal
//! that comes while it works leads to one more pass, so that nothing is overlooked.

mod balancer;
mod control_plane;
mod definitions;
mod disruption;
mod endpoints;
mod enforcement;
pub mod events;
mod garbage;
mod hosts;
mod interfaces;
mod kubelet;
mod names;
mod namespace;
mod node_lifecycle;
mod old_endpoints;
mod proxy;
mod queue;
mod reconcile;
mod scheduler;
mod stale_flows;
mod token_secrets;
mod worker;
mod workload;

pub use balancer::balance_load;
pub use control_plane::publish_api;
pub use definitions::clear_definitions;
pub use disruption::budget_disruptions;
pub use endpoints::slice_endpoints;
pub use enforcement::{Cni, enforce};
pub use garbage::collect_garbage;
pub use hosts::host_outside;
pub use interfaces::pull_cables;
pub use kubelet::Kubelet;
pub use names::{Zone, name_everything};
pub use namespace::{empty_namespaces, set_up};
pub use node_lifecycle::watch_nodes;
pub use old_endpoints::mirror_endpoints;
pub use scheduler::schedule;
pub use stale_flows::forget_stale_flows;
pub use token_secrets::fill_token_secrets;
pub use workload::run_workloads;
