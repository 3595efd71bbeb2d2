//! Diagnostics for whoever debugs netproof itself, on standard error.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Listens to `NETPROOF_LOG`, in the form of `RUST_LOG`; silent without it.
pub(super) fn install() {
    let filter = EnvFilter::try_from_env("NETPROOF_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    let layer = fmt::layer().with_writer(std::io::stderr);
    // A second install, in a test, keeps the first.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}
