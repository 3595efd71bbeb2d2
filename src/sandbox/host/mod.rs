//! An application that isn't netproof's: what listens on external hosts, and what stands
//! in for containers whose image isn't there.
//!
//! It takes TCP connections and says nothing, answers HTTP with 200, and sends datagrams
//! back. Under the name [`BINARY`] the netproof executable is this program.

mod server;

pub use server::{BINARY, main};
