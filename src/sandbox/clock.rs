//! The time that the cluster believes it is.
//!
//! One clock for the whole process, which is one cluster. The fault `clock-offset` makes it
//! wrong; deadlines and waits go by the monotonic clock, which has no offset.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tokio_util::sync::CancellationToken;

use super::{
    api::{
        resource::FAULTS,
        store::{Event, Store},
    },
    fault::Fault,
};

/// How many milliseconds the clock is ahead.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// The present moment by the cluster's clock.
pub fn now() -> jiff::Timestamp {
    let offset = jiff::SignedDuration::from_millis(OFFSET.load(Ordering::Relaxed));
    let now = jiff::Timestamp::now();
    now.checked_add(offset).unwrap_or(now)
}

/// Lets the clock go wrong while a fault says so, until cancelled.
pub async fn obey_faults(store: Arc<Store>, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        event.resource == &FAULTS
    }
    let signal = store.signal(wanted);
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        let (faults, _) = store.list(&FAULTS, None);
        let offset = faults.iter().find_map(|object| match Fault::of(object)? {
            Fault::Clock(fault) => i64::try_from(fault.offset().as_millis()).ok(),
            _ => None,
        });
        OFFSET.store(offset.unwrap_or_default(), Ordering::Relaxed);
    }
}
