//! The canaries in time: reached before their policy, isolated by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use netproof_probe::wire::Timing;
use tokio::sync::watch;

use super::{
    Options, Stop,
    dial::Seen,
    live::Live,
    marker::{Bite, Key, Marker, answered_by},
};
use crate::{
    event::{Canary, CanaryState},
    verdict::Observation,
};

/// How long a control pod may take, once it is ready, to be reached by its neighbour.
pub(super) const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// A single quick attempt: cheap while a canary is still open, and only a hint of the
/// opposite.
pub(super) const HINT: Timing = Timing { window: 50, attempts: 1, reply: 1_000 };

/// How long the first isolated canary waits for the last.
const STRAGGLE: Duration = Duration::from_secs(1);

pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Marker {
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
}

fn never_reached(canaries: Vec<(Key, Observation)>) -> impl Iterator<Item = (Key, CanaryState)> {
    canaries.into_iter().map(|(key, seen)| (key, CanaryState::NeverReached { seen }))
}

pub(super) fn is_blocked(seen: &[Seen]) -> bool {
    !seen.is_empty()
        && seen.iter().all(|seen| {
            matches!(
                seen.observation,
                Observation::TimedOut | Observation::Refused | Observation::Prohibited { .. }
            )
        })
}

#[cfg(test)]
mod tests;
