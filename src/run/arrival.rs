//! The markers: when a step's changes have arrived.
//!
//! After the changes netproof isolates a pod of its own on each node, both ways, and once
//! that bites lets its own pods through to it and from it again. Who learns of policies in
//! order has by then heard of the step's, and has both closed and opened something since: no
//! denial is judged while an allow may still be on its way, and no allow while an isolation
//! may. Beside the step's rounds the policies are taken away again, for the next step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use netproof_probe::wire::Timing;

use super::{
    Stop,
    dial::{Dial, Seen},
    follow::{CONNECTED_WITHIN, HINT, LONGEST_PAUSE, SHORTEST_PAUSE, is_blocked},
    live::Live,
    marker::{Key, answered_by, dials},
};
use crate::{
    event::Direction,
    model::{Family, IpProtocol},
    plan::PodIndex,
    verdict::Observation,
};

/// The markers of a run.
pub(super) struct Arrival {
    dials: BTreeMap<Key, (Dial, PodIndex)>,
    /// Those that have done so far what their policies say. The lock is held for a look or a
    /// write only.
    usable: Mutex<BTreeSet<Key>>,
    /// They are known to be open, without a policy.
    armed: AtomicBool,
}

/// What came of waiting for the markers.
pub(super) struct Followed {
    /// When the last of those that changed was seen to have.
    pub at: Instant,
    /// How long that took.
    pub latency: Duration,
    /// Those that did not, and are of no use any more.
    pub lost: BTreeSet<Key>,
}

impl Arrival {
    /// The markers of every node of the plan, over these transports. What a CNI does with
    /// ICMP is its own affair: where nothing else is asked, TCP tells.
    pub fn new(
        live: &Live<'_>,
        transports: &BTreeSet<IpProtocol>,
        families: &BTreeSet<Family>,
    ) -> Self {
        let mut transports: BTreeSet<_> =
            transports.iter().copied().filter(|each| *each != IpProtocol::Icmp).collect();
        if transports.is_empty() {
            transports.insert(IpProtocol::Tcp);
        }
        let dials = dials(live, &transports, families, |pods| {
            [
                (Direction::Ingress, pods.witness, pods.marker),
                (Direction::Egress, pods.marker, pods.witness),
            ]
        });
        let usable = Mutex::new(dials.keys().cloned().collect());
        Self { dials, usable, armed: AtomicBool::new(false) }
    }

    /// True if none is of use.
    pub fn is_empty(&self) -> bool {
        self.usable().is_empty()
    }

    /// True if they are open and without a policy.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// Waits until all are reached that have no policy; what isn't by then tells nothing
    /// later.
    pub async fn arm(&self, live: &Live<'_>, stop: &Stop, within: Option<Duration>) {
        self.opens(live, stop, Instant::now(), within.unwrap_or(CONNECTED_WITHIN)).await;
        self.armed.store(true, Ordering::Relaxed);
    }

    /// Waits until the isolation that was written has bitten on all. Where nothing else
    /// proves that, `surely` asks them all once more, at one time and for longer: one after
    /// another may seem closed where packets are lost.
    pub async fn closes(
        &self,
        live: &Live<'_>,
        stop: &Stop,
        written: Instant,
        within: Duration,
        surely: bool,
    ) -> Followed {
        self.armed.store(false, Ordering::Relaxed);
        let closed = |_: &Key, seen: &[Seen]| is_blocked(seen);
        loop {
            let mut followed = self.follow(live, stop, written, within, CLOSED, closed).await;
            if !surely || !followed.lost.is_empty() || stop.is_stopped() {
                return followed;
            }
            let late = written.elapsed() >= within;
            let keys = self.usable().clone();
            let dials = keys.iter().map(|key| self.dials[key].0.clone()).collect();
            let dialled = live.dial(&dials, SURELY_CLOSED).await;
            let is_open = |key: &Key| !is_blocked(dialled.of(&self.dials[key].0));
            let open: BTreeSet<Key> = keys.into_iter().filter(is_open).collect();
            if open.is_empty() || late {
                self.usable().retain(|key| !open.contains(key));
                followed.lost = open;
                return followed;
            }
        }
    }

    /// Waits until what was written has let the witness through to all.
    pub async fn opens(
        &self,
        live: &Live<'_>,
        stop: &Stop,
        written: Instant,
        within: Duration,
    ) -> Followed {
        let open = |key: &Key, seen: &[Seen]| {
            let (_, destination) = &self.dials[key];
            seen.iter().any(|seen| answered_by(live, &seen.observation, *destination))
        };
        self.follow(live, stop, written, within, HINT, open).await
    }

    async fn follow(
        &self,
        live: &Live<'_>,
        stop: &Stop,
        written: Instant,
        within: Duration,
        timing: Timing,
        has_changed: impl Fn(&Key, &[Seen]) -> bool,
    ) -> Followed {
        let mut pending = self.usable().clone();
        let mut at = written;
        let mut pause = SHORTEST_PAUSE;
        while !pending.is_empty() && !stop.is_stopped() {
            // Whether one hasn't changed is told by a question put after the time was up.
            let late = written.elapsed() >= within;
            let dials = pending.iter().map(|key| self.dials[key].0.clone()).collect();
            let dialled = live.dial(&dials, timing).await;
            let before = pending.len();
            pending.retain(|key| {
                let seen = dialled.of(&self.dials[key].0);
                if seen.iter().any(|seen| matches!(seen.observation, Observation::NotThere { .. }))
                {
                    // What isn't spoken here is no finding.
                    self.usable().remove(key);
                    return false;
                }
                !has_changed(key, seen)
            });
            if pending.len() < before {
                at = dialled.started;
            }
            if late {
                break;
            }
            if !pending.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = stop.stopped() => {}
                }
            }
        }
        if stop.is_stopped() {
            pending.clear();
        }
        self.usable().retain(|key| !pending.contains(key));
        Followed { at, latency: at.saturating_duration_since(written), lost: pending }
    }

    #[cfg(test)]
    pub fn transports(&self) -> BTreeSet<IpProtocol> {
        self.dials.keys().map(|key| key.transport).collect()
    }

    fn usable(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        // A panic elsewhere leaves the set whole: every write is a single one.
        self.usable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two quick attempts: one packet that was lost is no isolation.
const CLOSED: Timing = Timing { window: 100, attempts: 2, reply: 1_000 };

/// Four attempts at each of them: that one tenth lost each way closes even two at a time is
/// less likely than one in five hundred thousand.
const SURELY_CLOSED: Timing = Timing { window: 300, attempts: 4, reply: 1_000 };
