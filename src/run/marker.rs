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

use netproof_probe::wire::{Script, Timing};
use tokio::sync::watch;

use super::{
    Options, Stop,
    dial::{Dial, Whom},
    live::Live,
};
use crate::{
    event::{Canary, CanaryState, Direction},
    model::{Family, IpProtocol, Port},
    plan::{CONTROL_PORT, PodIndex},
    verdict::{AnsweredBy, Observation},
};

/// The port that control pods listen on, for both transports.

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
    dials: BTreeMap<Key, (Dial, PodIndex)>,
}

impl Marker {
    /// The canaries for these transports and families on every node of the plan.
    pub fn new(
        live: &Live<'_>,
        transports: &BTreeSet<IpProtocol>,
        families: &BTreeSet<Family>,
    ) -> Self {
        let mut dials = BTreeMap::new();
        for (node, pods) in &live.plan.controls {
            for (transport, family) in
                transports.iter().flat_map(|t| families.iter().map(move |f| (*t, *f)))
            {
                for (direction, source, destination) in [
                    (Direction::Ingress, pods.witness, pods.canary_ingress),
                    (Direction::Egress, pods.canary_egress, pods.witness),
                ] {
                    let key = Key { node: node.clone(), direction, transport, family };
                    let port = Port::over(transport, CONTROL_PORT);
                    if let Some(dial) = control_dial(live, source, destination, port, family) {
                        dials.insert(key, (dial, destination));
                    }
                }
            }
        }
        Self { states: Mutex::default(), dials }
    }

    /// Dials every canary before its policy exists: what isn't reached by now proves
    /// nothing later. A new pod's network may take its time.
    pub async fn before(&self, live: &Live<'_>, timing: Timing, stop: &Stop) -> Vec<Canary> {
        let begun = Instant::now();
        let mut missing: BTreeSet<Key> = self.dials.keys().cloned().collect();
        loop {
            let dialled = live.dial(&self.of(&missing), timing).await;
            let mut unreached = Vec::new();
            missing.retain(|key| {
                let (dial, destination) = &self.dials[key];
                let Some(seen) = dialled.of(dial).first() else { return false };
                let is_missing = !answered_by(live, &seen.observation, *destination);
                if is_missing {
                    unreached.push((key.clone(), seen.observation.clone()));
                }
                // What a pod can't speak it can't speak later either.
                is_missing && !matches!(seen.observation, Observation::NotThere { .. })
            });
            let (mute, open): (Vec<_>, Vec<_>) = unreached
                .into_iter()
                .partition(|(_, seen)| matches!(seen, Observation::NotThere { .. }));
            self.states().extend(never_reached(mute));
            let unreached = open;
            if missing.is_empty() || stop.is_stopped() || begun.elapsed() >= CONNECTED_WITHIN {
                self.states().extend(never_reached(unreached));
                return self.canaries();
            }
            tokio::select! {
                () = tokio::time::sleep(LONGEST_PAUSE) => {}
                () = stop.stopped() => {}
            }
        }
    }

    /// Follows the canaries from the policy's write until all are isolated, or until
    /// `within` has gone by; tells `bite` how far they are.
    pub async fn isolate(
        &self,
        live: &Live<'_>,
        options: &Options,
        stop: &Stop,
        written: Instant,
        bite: &watch::Sender<Bite>,
    ) {
        let mut pending = self.isolable();
        let mut bitten: Option<(Instant, Duration)> = None;
        let mut quiet_since = BTreeMap::<Key, Instant>::new();
        let mut last = BTreeMap::<Key, Observation>::new();
        let mut pause = SHORTEST_PAUSE;
        while !pending.is_empty() && !stop.is_stopped() {
            // Whether one is still open is told by a question put after the time was up: an
            // agent that doesn't answer holds up the others.
            let late = written.elapsed() >= options.canary_within;
            let open: BTreeSet<Key> =
                pending.iter().filter(|key| !quiet_since.contains_key(*key)).cloned().collect();
            let hint = live.dial(&self.of(&open), HINT).await;
            for key in open {
                let (dial, destination) = &self.dials[&key];
                let Some(seen) = hint.of(dial).first() else { continue };
                if !answered_by(live, &seen.observation, *destination) {
                    quiet_since.insert(key.clone(), hint.started);
                }
                last.insert(key, seen.observation.clone());
            }
            let all_quiet = quiet_since.len() == pending.len();
            let longest = quiet_since.values().map(Instant::elapsed).max();
            // One window is to serve all: the others get a moment to follow the first.
            if all_quiet || late || longest.is_some_and(|longest| longest >= STRAGGLE) {
                if all_quiet {
                    bite.send_replace(Bite::Confirming);
                }
                let quiet: BTreeSet<Key> = quiet_since.keys().cloned().collect();
                let mut questions = self.of(&quiet);
                questions.extend(quiet.iter().map(|key| self.listener(key)));
                let window = live.dial(&questions, options.timing).await;
                for key in quiet {
                    let since = quiet_since.remove(&key).unwrap_or(window.started);
                    let (dial, destination) = &self.dials[&key];
                    // A dead listener is as silent as an isolated one.
                    let listens = window
                        .of(&self.listener(&key))
                        .iter()
                        .any(|seen| answered_by(live, &seen.observation, *destination));
                    if let Some(seen) = window.of(dial).first() {
                        last.insert(key.clone(), seen.observation.clone());
                    }
                    if listens && is_blocked(window.of(dial)) {
                        let latency = since.saturating_duration_since(written);
                        let latest = bitten.get_or_insert((window.started, latency));
                        *latest = (latest.0.max(window.started), latest.1.max(latency));
                        pending.remove(&key);
                        self.states().insert(key, CanaryState::Proven { latency });
                    }
                }
                if !pending.is_empty() {
                    bite.send_replace(Bite::Pending);
                }
                pause = SHORTEST_PAUSE;
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
        if !stop.is_stopped() {
            for key in pending {
                let (dial, destination) = &self.dials[&key];
                let difference =
                    live.difference(dial.source).or_else(|| live.difference(*destination));
                let seen = match difference {
                    Some(message) => Some(Observation::NotAsPlanned { message }),
                    None => last.remove(&key),
                };
                let state = match seen {
                    Some(seen) if !answered_by(live, &seen, *destination) => {
                        CanaryState::Lost { seen }
                    }
                    _ => CanaryState::StillOpen { tried: written.elapsed() },
                };
                self.states().insert(key, state);
            }
        }
        bite.send_replace(match bitten {
            Some((at, latency)) => Bite::Bitten { at, latency },
            None => Bite::Never,
        });
    }

    /// Follows the canaries after their policy was taken away, until all that were
    /// isolated are reached again.
    pub async fn open(
        &self,
        live: &Live<'_>,
        options: &Options,
        stop: &Stop,
        written: Instant,
        bite: &watch::Sender<Bite>,
    ) {
        let mut pending: BTreeSet<Key> = self
            .states()
            .iter()
            .filter(|(_, state)| matches!(state, CanaryState::Proven { .. }))
            .map(|(key, _)| key.clone())
            .collect();
        if pending.is_empty() {
            bite.send_replace(Bite::Never);
            return;
        }
        let mut at = Instant::now();
        let mut pause = SHORTEST_PAUSE;
        while !pending.is_empty() {
            if stop.is_stopped() || written.elapsed() >= options.canary_within {
                bite.send_replace(Bite::Never);
                return;
            }
            let dialled = live.dial(&self.of(&pending), HINT).await;
            at = dialled.started;
            pending.retain(|key| {
                let (dial, destination) = &self.dials[key];
                !dialled
                    .of(dial)
                    .iter()
                    .any(|seen| answered_by(live, &seen.observation, *destination))
            });
            if !pending.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = stop.stopped() => {}
                }
            }
        }
        let latency = at.saturating_duration_since(written);
        bite.send_replace(Bite::Bitten { at, latency });
    }

    /// The canaries that a policy can still change: those that haven't been isolated yet,
    /// and those that were, and are open again since.
    fn isolable(&self) -> BTreeSet<Key> {
        let states = self.states();
        let changes =
            |key: &&Key| matches!(states.get(*key), None | Some(CanaryState::Proven { .. }));
        self.dials.keys().filter(changes).cloned().collect()
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

    fn states(&self) -> MutexGuard<'_, BTreeMap<Key, CanaryState>> {
        // A panic elsewhere leaves the map whole: every write is a single insert.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, keys: &BTreeSet<Key>) -> BTreeSet<Dial> {
        keys.iter().filter_map(|key| self.dials.get(key)).map(|(dial, _)| dial.clone()).collect()
    }

    /// The canary's destination, asked from inside.
    fn listener(&self, key: &Key) -> Dial {
        let (dial, destination) = &self.dials[key];
        Dial { source: *destination, ..dial.clone() }
    }
}

fn never_reached(canaries: Vec<(Key, Observation)>) -> impl Iterator<Item = (Key, CanaryState)> {
    canaries.into_iter().map(|(key, seen)| (key, CanaryState::NeverReached { seen }))
}

/// How long a control pod may take, once it is ready, to be reached by its neighbour.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// A single quick attempt: cheap while a canary is still open, and only a hint of the
/// opposite.
const HINT: Timing = Timing { window: 50, attempts: 1, reply: 1_000 };

/// How long the first isolated canary waits for the last.
const STRAGGLE: Duration = Duration::from_secs(1);

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

fn is_blocked(seen: &[super::dial::Seen]) -> bool {
    !seen.is_empty()
        && seen.iter().all(|seen| {
            matches!(
                seen.observation,
                Observation::TimedOut | Observation::Refused | Observation::Prohibited { .. }
            )
        })
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
        script: Script::default(),
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
