//! The sandbox's process: how it starts, says that it is ready, and ends.
//!
//! ```text
//!   netproof ──pipe──▶ keeper ──fork──▶ init (pid 1) ──fork──▶ API, nodes, pods
//!                      (on the host)    (in the new process namespace)
//! ```
//!
//! The parent holds a pipe and never writes to it. Its end-of-file, or the keeper's death,
//! ends pid 1, and with pid 1 the kernel ends everything else. Nobody needs to be told.

mod child;
mod parent;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use child::{announce, child_main};
pub use parent::{Sandbox, StartError};

use super::{fault::Fault, layout::IpFamily};

/// What the child's `argv[0]` is called; a binary that finds itself called so must call
/// [`child_main`] before it does anything else.
pub const BINARY: &str = "netproof-sandbox";

/// How the sandbox is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many nodes there are.
    pub nodes: usize,
    /// What is broken from the start.
    pub faults: Vec<Fault>,
    /// Which IP families it has. A kernel without IPv6 leaves IPv4.
    pub ip_family: IpFamily,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, faults: Vec::new(), ip_family: IpFamily::default() }
    }
}

/// Whether this process was started to be a sandbox.
pub fn is_child() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == BINARY))
}

/// The one line that the child writes on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// The API answers.
    Ready {
        /// How to reach it.
        kubeconfig: String,
    },
    /// The sandbox could not start: the error and its sources.
    Error(String),
}
