//! What is special about a kind: defaults, validation, allocation, selectable fields.
//!
//! A row of the resource table points at one [`Rules`]; kinds without special rules have
//! [`Rules::NONE`]. Defaults and validation see an object in canonical form.

mod config;
mod container;
mod endpoints;
mod event;
mod external_host;
mod ingress;
mod label_selector;
mod limit_range;
pub mod metadata;
mod namespace;
mod network_policy;
mod pod;
mod pod_defaults;
mod rbac;
mod service;
mod stored;
mod table;
#[cfg(test)]
mod tests;
mod workload;

pub(super) use event::{STORED as STORED_EVENTS, newer_event, stored_event};
pub(super) use stored::{newer_scaler, older_scaler};
pub use table::{Names, Rules};
pub use workload::{Schedule, ScheduleError};
