//! netproof proves that a Kubernetes cluster's CNI really enforces NetworkPolicy.

pub mod cli;
pub mod cluster;
pub mod event;
pub mod model;
pub mod plan;
pub mod report;
pub mod run;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod suite;
pub mod verdict;
