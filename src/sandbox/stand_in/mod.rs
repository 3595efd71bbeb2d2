//! What runs in place of an image's own program: it listens where that would.
//!
//! On TCP ports it answers HTTP with 200 and anything else with a line that says who it is;
//! datagrams it sends back. Under the name [`BINARY`] the netproof executable is this
//! program. There is one for each container, so that it costs little: one thread, no more
//! memory than it needs.

pub mod command;
mod program;
pub mod sidecar;
mod talk;

pub use program::{BINARY, main};

/// What it says first, before its identity.
pub const GREETING: &str = "netproof stands in for";
