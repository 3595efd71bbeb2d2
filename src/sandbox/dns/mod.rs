//! The cluster's DNS server: a program of its own, which runs in a pod.
//!
//! It knows what it is told on its standard input, a name a line, and nothing else: a
//! sandbox has no other servers to ask. Under the name [`BINARY`] the netproof executable
//! is this program.

mod answer;
mod records;
mod server;

pub use records::{Entry, Records, Service, Update};
pub use server::{BINARY, main};
