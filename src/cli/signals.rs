//! SIGINT and SIGTERM: the first ends the run and sweeps, the second ends the process.

use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::{event::Interruption, run::Stop};

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
