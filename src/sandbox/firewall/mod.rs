//! The reference CNI: NetworkPolicies, ClusterNetworkPolicies and Services as nf_tables
//! rules, a table per node.
//!
//! [`Engine`] turns events into the changes of each node's table and touches nothing;
//! `encode` makes one transaction of them for the kernel, and
//! [`Ruleset::to_nft`] writes a table down for people. [`compile`] does it all at once, for
//! a [`Snapshot`]. What it means to be selected, isolated
//! or allowed is decided in here alone: the evaluator must come to the same answers by
//! other code, and that it does is a test.

mod addresses;
mod base;
mod delta;
mod encode;
mod engine;
mod frame;
mod judged;
mod names;
mod node;
mod pieces;
mod policy;
mod redirect;
mod ruleset;
mod selector;
mod service;
mod snapshot;
mod switches;
mod text;
mod trace;
mod tracked;

pub use delta::Delta;
pub(in crate::sandbox) use encode::{Part, encode, encode_delta, encode_in_parts, open};
pub use engine::{Engine, Update, compile};
pub(in crate::sandbox) use judged::Judged;
pub(in crate::sandbox) use policy::Direction;
pub use policy::cluster::ClusterNetworkPolicy;
pub use redirect::Redirect;
pub(in crate::sandbox) use ruleset::Loss;
pub use ruleset::Ruleset;
pub use snapshot::{
    EndpointEntry, HostPortEntry, NamedPort, NodeEntry, PodEntry, ServiceEntry, ServicePortEntry,
    Snapshot,
};
pub(in crate::sandbox) use switches::{delay, late_allows, late_isolation};
pub(in crate::sandbox) use text::LOG_GROUP;
pub use trace::{Packet, Trace};
