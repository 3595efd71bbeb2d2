//! SIGINT and SIGTERM: the first ends the run and sweeps, the second ends the process.

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, exit::complain};
use crate::{event::Interruption, run::Stop};

/// What the signals end, listening already.
pub(super) fn stop() -> Result<Stop, Exit> {
    let stop = Stop::new();
    watch(stop.clone()).map_err(|error| {
        complain(&format!("listen for signals: {error}"), None);
        Exit::Undecided
    })?;
    Ok(stop)
}

/// Begins to listen. What a forced end leaves behind is `netproof cleanup`'s.
pub(super) fn watch(stop: Stop) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut first = true;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(Exit::Interrupted.code().into());
            }
            first = false;
            stop.stop(Interruption::Signal);
        }
    });
    Ok(())
}
