//! The programs of the sandbox that are the netproof executable under another name.

use std::{ffi::OsStr, process::ExitCode};

use super::{dns, host, process, serve, stand_in};

/// The program of a name, which is the last part of `argv[0]`; `None` if it is none of the
/// sandbox's. It must be called before any other thread exists.
pub fn program(name: &OsStr) -> Option<fn() -> ExitCode> {
    if name == process::BINARY {
        Some(sandbox)
    } else if name == dns::BINARY {
        Some(dns::main)
    } else if name == host::BINARY {
        Some(host::main)
    } else if name == stand_in::BINARY {
        Some(stand_in::main)
    } else if name == stand_in::command::BINARY {
        Some(stand_in::command::main)
    } else if name == stand_in::sidecar::BINARY {
        Some(stand_in::sidecar::main)
    } else {
        None
    }
}

/// The child that is a whole cluster.
fn sandbox() -> ExitCode {
    process::child_main(|listener, options| {
        serve(listener, options, |kubeconfig| process::announce(&kubeconfig))
    })
}
