//! The flow log: every new connection that a pod has part in, and what policies said of it.
//!
//! ```text
//!   log rules ──▶ nfnetlink_log, per node ──▶ collector ──▶ ring of the last flows
//!                                                       └─▶ followers
//! ```
//!
//! A node logs a connection where it judges it: once where it leaves a pod and once where
//! it enters one. Whoever falls behind (the collector behind the kernel, a follower behind
//! the collector) loses flows, never holds up a packet; how many is said in the stream.
//! Connections from a node to its own pods are no policy's business and not logged.

mod book;
mod collect;
mod nflog;
mod packet;
mod record;

pub(in crate::sandbox) use book::{Book, Entry};
pub(in crate::sandbox) use collect::{Explained, Witness, collect};
pub(in crate::sandbox) use nflog::Socket;
