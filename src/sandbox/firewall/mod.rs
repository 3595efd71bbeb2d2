//! The reference CNI: NetworkPolicy and Services as nf_tables rules, a table per node.
//!
//! [`compile`] turns a [`Snapshot`] of the API into a [`Ruleset`] and touches nothing;
//! `encode` and `load` hand it to the kernel in one transaction, and
//! [`Ruleset::to_nft`] writes it down for people. What it means to be selected, isolated
//! or allowed is decided in here alone: the evaluator must come to the same answers by
//! other code, and that it does is a test.

mod addresses;
mod compile;
mod encode;
mod policy;
mod ruleset;
mod selector;
mod service;
mod snapshot;
mod text;

pub use compile::compile;
pub(in crate::sandbox) use encode::{encode, load};
pub use ruleset::Ruleset;
pub use snapshot::{NamedPort, PodEntry, ServiceEntry, ServicePortEntry, Snapshot};
