//! Policies that isolate at once and whose rules come later, as some CNIs have it that first
//! close a pod and then learn who its peers are.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Key, Policy};

/// Policies as they are to be, each with when that is.
#[derive(Debug, Default)]
pub(super) struct Late(BTreeMap<Key, (Instant, Policy)>);

impl Late {
    /// Holds a policy back.
    pub(super) fn hold(&mut self, key: Key, until: Instant, policy: Policy) {
        self.0.insert(key, (until, policy));
    }

    /// It has gone, or changed again.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Nothing is held back any longer.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.0.values_mut().for_each(|(until, _)| *until = now);
    }

    /// Takes out what is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Key, Policy)> {
        let due = self.0.extract_if(.., |_, (until, _)| *until <= now);
        due.map(|(key, (_, policy))| (key, policy)).collect()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(until, _)| *until).min()
    }
}

/// What a policy closes, with what it allowed before, if it was there. Of one of the cluster
/// only what it denies.
pub(super) fn isolation(policy: &Policy, before: Option<&Policy>) -> Policy {
    let policy = match policy {
        Policy::Cluster(policy) => return Policy::Cluster(Box::new(policy.denials())),
        Policy::Network(policy) => policy,
    };
    let before = match before {
        Some(Policy::Network(before)) => before.spec.as_ref(),
        _ => None,
    };
    let mut early = policy.clone();
    if let Some(spec) = &mut early.spec {
        let given = spec.policy_types.as_ref().is_some_and(|types| !types.is_empty());
        if !given {
            // Left out, they follow from the rules, which are about to change.
            let egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
            let types = ["Ingress", "Egress"].into_iter().take(if egress { 2 } else { 1 });
            spec.policy_types = Some(types.map(str::to_owned).collect());
        }
        spec.ingress = before.and_then(|before| before.ingress.clone());
        spec.egress = before.and_then(|before| before.egress.clone());
    }
    Policy::Network(early)
}
