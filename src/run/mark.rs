//! Marks a step's changes: writes the policies of netproof's own pods after them, and tells
//! when these have arrived.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    arrival::{Arrival, Followed},
    error::RunError,
    live::Live,
    marker::{Bite, Key, Marker},
    runner::Runner,
};
use crate::{cluster::ControlPolicy, event::Event};

/// The policies that prove that the CNI enforces.
const CANARIES: [ControlPolicy; 2] = [ControlPolicy::CanaryIngress, ControlPolicy::CanaryEgress];
/// The policies of the markers.
const MARKERS: [ControlPolicy; 2] = [ControlPolicy::Isolation, ControlPolicy::Admission];

/// The control pods, once they were tried.
pub(super) struct Tried {
    pub marker: Marker,
    pub arrival: Arrival,
    /// The canaries are isolated by now.
    pub proven: bool,
}

impl Tried {
    /// Takes the proof from the nodes whose markers an isolation leaves open; true if there is
    /// such a one. Before anything was proven the canaries tell that themselves.
    pub(super) fn disproved(&self, open: &BTreeSet<Key>, tried: Duration) -> bool {
        let accuses = self.proven && !open.is_empty();
        for key in open.iter().filter(|_| accuses) {
            self.marker.no_longer(key, tried);
        }
        accuses
    }
}

/// What the markers tell of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrived {
    /// There is none that could tell.
    NoMarker,
    /// Some did not change in time.
    Late,
    /// All have changed by then.
    At { at: Instant, latency: Duration },
}

impl Runner<'_> {
    /// Tells `bite` when the changes that were written before have arrived, and, the first
    /// time, whether the CNI enforces at all. What is done for the next step's sake ends with
    /// `over`.
    pub(super) async fn mark(
        &self,
        live: &Live<'_>,
        tried: &Tried,
        bite: &watch::Sender<Bite>,
        over: &CancellationToken,
    ) -> Result<(), RunError> {
        let (inner, mut isolated) = watch::channel(Bite::Pending);
        let proving = async {
            if tried.proven {
                inner.send_replace(Bite::Never);
                return Ok::<_, RunError>(());
            }
            let written = self.context.create_control_policies(self.plan, &CANARIES).await?;
            tried.marker.isolate(live, self.options, self.stop, written, &inner).await;
            self.tell_canaries(&tried.marker).await;
            Ok(())
        };
        let arriving = async {
            let arrived = self.arrive(live, tried).await?;
            loop {
                let proof = *isolated.borrow_and_update();
                bite.send_replace(combined(tried.proven, proof, arrived));
                // The sender outlives this: it is only what it last said that ends it.
                if matches!(proof, Bite::Never | Bite::Bitten { .. })
                    || isolated.changed().await.is_err()
                {
                    return Ok(());
                }
            }
        };
        tokio::try_join!(proving, arriving)?;
        if !self.asks_again() {
            return Ok(());
        }
        let rearming = over.run_until_cancelled(self.rearm(live, &tried.arrival));
        rearming.await.unwrap_or(Ok(()))
    }

    /// Whether there is more than one step in the whole plan.
    fn asks_again(&self) -> bool {
        self.plan.suites.iter().map(|suite| 1 + suite.steps.len()).sum::<usize>() > 1
    }

    /// Closes the markers, opens them, and tells when both was seen.
    async fn arrive(&self, live: &Live<'_>, tried: &Tried) -> Result<Arrived, RunError> {
        let Tried { marker, arrival, proven } = tried;
        let (stop, within) = (self.stop, self.options.canary_within);
        if !arrival.is_armed() {
            self.rearm(live, arrival).await?;
        }
        if arrival.is_empty() {
            return Ok(Arrived::NoMarker);
        }
        let isolation = &[ControlPolicy::Isolation];
        let written = self.context.create_control_policies(self.plan, isolation).await?;
        // The first time the canaries prove it.
        let closed = arrival.closes(live, stop, written, within, *proven).await;
        if tried.disproved(&closed.lost, written.elapsed()) {
            self.tell_canaries(marker).await;
        }
        if arrival.is_empty() {
            return Ok(Arrived::NoMarker);
        }
        let admission = &[ControlPolicy::Admission];
        let written = self.context.create_control_policies(self.plan, admission).await?;
        let opened = arrival.opens(live, stop, written, within).await;
        Ok(arrived(&closed, &opened, arrival.is_empty()))
    }

    /// Takes the markers' policies away, and waits until they are open.
    async fn rearm(&self, live: &Live<'_>, arrival: &Arrival) -> Result<(), RunError> {
        if arrival.is_empty() {
            return Ok(());
        }
        self.context.delete_control_policies(self.plan, &MARKERS).await?;
        arrival.arm(live, self.stop, Some(self.options.canary_within)).await;
        Ok(())
    }

    async fn tell_canaries(&self, marker: &Marker) {
        for canary in marker.canaries() {
            self.events.send(Event::Canary { canary }).await;
        }
    }
}

/// What is told by markers that have closed, and then opened; `none_left` where none of them
/// is of use any more.
fn arrived(closed: &Followed, opened: &Followed, none_left: bool) -> Arrived {
    if !opened.lost.is_empty() || none_left {
        return Arrived::Late;
    }
    Arrived::At { at: opened.at, latency: closed.latency.max(opened.latency) }
}

fn combined(proven: bool, proof: Bite, arrived: Arrived) -> Bite {
    match (proof, arrived) {
        (_, Arrived::At { at, latency }) if proven => Bite::Bitten { at, latency },
        (Bite::Bitten { at, latency }, Arrived::At { at: other, latency: its }) => {
            Bite::Bitten { at: at.max(other), latency: latency.max(its) }
        }
        (Bite::Bitten { .. }, Arrived::Late) => Bite::Never,
        (proof, _) => proof,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_arrived_when_the_later_of_canaries_and_markers_says_so() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let bitten =
            |seconds, took| Bite::Bitten { at: at(seconds), latency: Duration::from_secs(took) };
        let arrived =
            |seconds, took| Arrived::At { at: at(seconds), latency: Duration::from_secs(took) };
        for (what, proven, proof, markers, expected) in [
            ("the markers are later", false, bitten(1, 1), arrived(2, 2), bitten(2, 2)),
            ("the canaries are later", false, bitten(3, 3), arrived(2, 2), bitten(3, 3)),
            ("a slow canary, a later marker", false, bitten(1, 9), arrived(2, 2), bitten(2, 9)),
            ("canaries alone", false, bitten(1, 1), Arrived::NoMarker, bitten(1, 1)),
            ("a late marker spoils it", false, bitten(1, 1), Arrived::Late, Bite::Never),
            ("still open", false, Bite::Pending, arrived(2, 2), Bite::Pending),
            ("never proven", false, Bite::Never, arrived(2, 2), Bite::Never),
            ("proven in an earlier step", true, Bite::Never, arrived(2, 2), bitten(2, 2)),
            ("proven, and a marker is late", true, Bite::Never, Arrived::Late, Bite::Never),
            ("proven, and no marker", true, Bite::Never, Arrived::NoMarker, Bite::Never),
        ] {
            assert_eq!(combined(proven, proof, markers), expected, "{what}");
        }
    }

    #[test]
    fn markers_are_late_where_one_does_not_open_and_as_slow_as_the_slower_way() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let key = Key {
            node: "one".to_owned(),
            direction: crate::event::Direction::Ingress,
            transport: crate::model::IpProtocol::Tcp,
            family: crate::model::Family::Ipv4,
        };
        let followed = |seconds, took, lost: usize| Followed {
            at: at(seconds),
            latency: Duration::from_secs(took),
            lost: std::iter::repeat_n(key.clone(), lost).collect(),
        };
        let told = |took| Arrived::At { at: at(5), latency: Duration::from_secs(took) };
        for (what, closed, opened, none_left, expected) in [
            ("slow to open", followed(3, 1, 0), followed(5, 2, 0), false, told(2)),
            ("slow to close", followed(3, 3, 0), followed(5, 2, 0), false, told(3)),
            ("another one stayed open", followed(3, 1, 1), followed(5, 2, 0), false, told(2)),
            ("one stays closed", followed(3, 1, 0), followed(5, 2, 1), false, Arrived::Late),
            ("none is left", followed(3, 1, 0), followed(5, 2, 0), true, Arrived::Late),
        ] {
            assert_eq!(arrived(&closed, &opened, none_left), expected, "{what}");
        }
    }
}
