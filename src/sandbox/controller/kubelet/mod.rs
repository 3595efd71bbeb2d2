//! The kubelet of all nodes: makes pods run.
//!
//! ```text
//! manager ─▶ a worker per pod ─▶ network, then rules in force, then
//!                                a container each ─▶ process, probes, log
//! ```
//!
//! No process of a pod starts before the pod's rules are in force on every node.

mod address;
mod container;
mod dialer;
mod environment;
mod health;
mod hosts_file;
mod lease;
mod links;
mod localhost;
mod log;
mod made;
mod manager;
mod mesh;
mod probe;
mod program;
mod report;
mod resolver;
mod stand_in;
mod status;
mod volumes;
mod watch;
mod worker;

pub use manager::Kubelet;
pub use program::DNS_IMAGE;
pub(super) use program::piped;
