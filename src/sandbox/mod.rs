//! A cluster in a process: real sockets, real packets, a real firewall.
//!
//! [`process`] starts the child that everything lives in, [`node`] makes its nodes and
//! pods, [`firewall`] is the reference CNI that enforces NetworkPolicy between them, and
//! [`fault`] names the ways in which the CNI and the network can be made to fail.

pub mod fault;
pub mod firewall;
pub mod node;
pub mod process;
