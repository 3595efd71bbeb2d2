//! How many files the agent may have open: every attempt is a socket.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that aren't attempts: pipes, the reactor, a resolver's sockets.
const RESERVED: u64 = 64;

/// More sockets than any batch uses, where the limit is higher.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit as far as it goes, and returns how many sockets that leaves.
pub fn raise_open_files() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1_024, 1_024));
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    usize::try_from(limit.saturating_sub(RESERVED).clamp(1, ENOUGH)).unwrap_or(1)
}
