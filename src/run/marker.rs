//! The canaries, and the marker that they make.
//!
//! A policy of netproof's own isolates one pod per node and direction. That it was
//! reached and then isn't proves that the CNI enforces there; when that happens tells
//! that changes written before have arrived. Between two suites the policy is taken
//! away again, which marks just as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    dial::{Dial, Whom},
    live::Live,
    script::plain,
};
use crate::{
    event::{Canary, CanaryState, Direction},
    model::{Family, IpProtocol, Port},
    plan::{CONTROL_PORT, ControlPods, PodIndex},
    verdict::{AnsweredBy, Observation},
};

/// One canary: a node, a direction, a transport, a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub node: String,
    pub direction: Direction,
    pub transport: IpProtocol,
    pub family: Family,
}

/// How far the marker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bite {
    /// There is nothing to wait for: no canary was ever reached, or none was isolated.
    Never,
    /// Some canary hasn't changed yet.
    Pending,
    /// All seem to have changed; a full window that began then is to prove it.
    Confirming,
    /// All that can change had changed by then.
    Bitten { at: Instant, latency: Duration },
}

/// The canaries of a run.
///
/// Rounds read the states while the canaries are still being followed; the lock is
/// held for a look or a write only, never over an await.
pub(super) struct Marker {
    states: Mutex<BTreeMap<Key, CanaryState>>,
    pub dials: BTreeMap<Key, (Dial, PodIndex)>,
}

impl Marker {
    /// The canaries for these transports and families on every node of the plan.
    pub fn new(
        live: &Live<'_>,
        transports: &BTreeSet<IpProtocol>,
        families: &BTreeSet<Family>,
    ) -> Self {
        let dials = dials(live, transports, families, |pods| {
            [
                (Direction::Ingress, pods.witness, pods.canary_ingress),
                (Direction::Egress, pods.canary_egress, pods.witness),
            ]
        });
        Self { states: Mutex::default(), dials }
    }

    /// The canaries that a policy can still change.
    pub(super) fn isolable(&self) -> BTreeSet<Key> {
        let states = self.states();
        self.dials.keys().filter(|key| !states.contains_key(*key)).cloned().collect()
    }

    /// Notes that the CNI has let a step's isolation pass where it had enforced before: what
    /// was proven holds no longer.
    pub fn no_longer(&self, key: &Key, tried: Duration) {
        if let Some(state) = self.states().get_mut(key)
            && matches!(state, CanaryState::Proven { .. })
        {
            *state = CanaryState::StillOpen { tried };
        }
    }

    /// What came of each canary so far.
    pub fn canaries(&self) -> Vec<Canary> {
        let each = |(key, state): (&Key, &CanaryState)| Canary {
            node: key.node.clone(),
            direction: key.direction,
            transport: key.transport,
            family: key.family,
            state: state.clone(),
        };
        // What isn't spoken here is no finding about the CNI.
        let spoken = |(_, state): &(&Key, &CanaryState)| {
            let CanaryState::NeverReached { seen } = state else { return true };
            !matches!(seen, Observation::NotThere { .. })
        };
        self.states().iter().filter(spoken).map(each).collect()
    }

    /// What came of one canary.
    pub fn state(&self, key: &Key) -> Option<CanaryState> {
        self.states().get(key).cloned()
    }

    /// True if on some node a canary stayed open and none was isolated. What a CNI does with
    /// ICMP is its own affair, and no proof of anything.
    pub fn some_node_enforces_nothing(&self) -> bool {
        let states = self.states();
        self.dials.keys().any(|of| {
            let counts = |key: &Key| key.node == of.node && key.transport != IpProtocol::Icmp;
            let on_node = || states.iter().filter(|(key, _)| counts(key));
            on_node().any(|(_, state)| matches!(state, CanaryState::StillOpen { .. }))
                && !on_node().any(|(_, state)| matches!(state, CanaryState::Proven { .. }))
        })
    }

    pub(super) fn states(&self) -> MutexGuard<'_, BTreeMap<Key, CanaryState>> {
        // A panic elsewhere leaves the map whole: every write is a single insert.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, keys: &BTreeSet<Key>) -> BTreeSet<Dial> {
        keys.iter().filter_map(|key| self.dials.get(key)).map(|(dial, _)| dial.clone()).collect()
    }

    /// The canary's destination, asked from inside.
    pub(super) fn listener(&self, key: &Key) -> Dial {
        let (dial, destination) = &self.dials[key];
        Dial { source: *destination, ..dial.clone() }
    }
}

/// The questions between control pods on every node of the plan, over these transports and
/// in these families: for each direction from whom to whom.
pub(super) fn dials(
    live: &Live<'_>,
    transports: &BTreeSet<IpProtocol>,
    families: &BTreeSet<Family>,
    ways: impl Fn(&ControlPods) -> [(Direction, PodIndex, PodIndex); 2],
) -> BTreeMap<Key, (Dial, PodIndex)> {
    let mut dials = BTreeMap::new();
    for (node, pods) in &live.plan.controls {
        for (&transport, &family) in
            transports.iter().flat_map(|t| families.iter().map(move |f| (t, f)))
        {
            for (direction, source, destination) in ways(pods) {
                let key = Key { node: node.clone(), direction, transport, family };
                let port = Port::over(transport, CONTROL_PORT);
                if let Some(dial) = control_dial(live, source, destination, port, family) {
                    dials.insert(key, (dial, destination));
                }
            }
        }
    }
    dials
}

/// The question from one control pod to another.
pub(super) fn control_dial(
    live: &Live<'_>,
    source: PodIndex,
    destination: PodIndex,
    port: Port,
    family: Family,
) -> Option<Dial> {
    Some(Dial {
        source,
        whom: Whom::Address(live.address(destination, family)?),
        port,
        script: plain(),
        timeout: None,
        keyed: true,
    })
}

/// True if that very pod answered. An echo has no name: it is told by the pod's address alone.
pub(super) fn answered_by(live: &Live<'_>, seen: &Observation, pod: PodIndex) -> bool {
    match seen {
        Observation::Connected { by: AnsweredBy::Agent { identity, .. } } => {
            *identity == live.plan.pod(pod).name
        }
        Observation::Connected { by: AnsweredBy::Echo } => true,
        _ => false,
    }
}
