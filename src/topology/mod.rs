//! What stands in a cluster or in manifests: API objects to a [`Topology`].
//!
//! ```text
//! files, standard input ─ reader ─▶ objects ─ build ─▶ Topology (in `model`)
//!                                      └─ workload: templates become pods
//! ```
//! Everything but `reader` is pure. Objects are loose (`serde_json::Value`): what a chart
//! or an operator's own kind prints is taken by its shape. What had to be assumed is said
//! in notes, and never passed over.

mod build;
mod objects;
mod pod;
mod question;
pub mod reader;
mod service;
mod workload;

#[cfg(test)]
mod tests;

pub use crate::model::Topology;
pub use build::{Built, build};
pub use objects::{BrokenYaml, parse};
pub use question::{behind, named_service, service_at, through};
