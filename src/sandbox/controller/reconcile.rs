//! The loop that every controller runs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Makes a pass for each signal, or for several at once, until cancelled.
pub async fn reconcile(signal: Arc<Notify>, cancel: CancellationToken, mut pass: impl FnMut()) {
    loop {
        tokio::select! {
            () = signal.notified() => pass(),
            () = cancel.cancelled() => return,
        }
    }
}
