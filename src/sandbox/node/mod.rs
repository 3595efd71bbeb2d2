//! Nodes and pods: network namespaces, veth pairs, routes and processes.
//!
//! ```text
//!   pod ── node ──┐           169.254.1.1 is every pod's gateway, on its node;
//!   pod ── node ──┤ fabric    169.254.0.1 is every node's gateway, in the fabric;
//!          host ──┘           fe80::1 is both for IPv6, and nobody has to have it
//! ```
//!
//! Every line is a veth pair, every name a network namespace; all is routed, nothing
//! bridged. This folder holds the only unsafe code, in `raw`.

pub mod conntrack;
mod ends;
mod error;
pub(in crate::sandbox) mod isolate;
mod namespace;
pub(in crate::sandbox) mod netlink;
mod network;
mod pod;
pub(in crate::sandbox) mod raw;
mod registry;
mod settings;
mod tables;
mod weather;
mod wiring;

pub use error::Error;
pub use network::{Network, NodeSpec};
pub use pod::{PodNetwork, PodSettings, Process, Stream};
pub use settings::{NoIpv6, has_ipv6};
