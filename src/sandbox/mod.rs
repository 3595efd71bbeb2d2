//! A cluster in a process: real sockets, real packets, a real firewall.
//!
//! ```text
//! process ─▶ serve ─▶ api ◀──▶ store ◀──▶ controller ─▶ node, firewall
//! ```
//!
//! [`process`] starts the child that everything lives in. There [`api`] keeps the objects
//! and speaks Kubernetes' API, and [`controller`] makes the objects come true: [`node`]
//! makes nodes and pods, [`firewall`] is the reference CNI that enforces NetworkPolicy
//! between them, and [`fault`] names the ways in which both can be made to fail. [`dns`],
//! [`host`] and [`stand_in`] are programs that run inside, like the agent.

pub mod api;
pub mod clock;
mod control_plane;
pub mod controller;
pub mod dns;
pub mod fault;
pub mod firewall;
pub(in crate::sandbox) mod flow;
pub mod host;
pub mod layout;
pub mod node;
pub mod process;
mod program;
mod serve;
pub mod stand_in;

pub use program::program;
pub use serve::{Error, serve};
