//! Changing the number of pods of ReplicaSets.

use std::{cmp::Reverse, sync::Arc};

use serde_json::Value;

use super::{
    super::pod::annotation,
    Deployments, Rollout, actual, count,
    revision::{self, MOST},
    rolling::{self, Limits, Share},
    wanted,
};
use crate::sandbox::api::{failure::Failure, object::Object, resource::REPLICA_SETS, write::Part};

impl Deployments {
    /// Scales one ReplicaSet, and says so.
    pub(super) fn scale_one(
        &self,
        deployment: &Value,
        set: &Arc<Value>,
        replicas: i64,
    ) -> Result<Option<Arc<Value>>, Failure> {
        let before = wanted(set);
        let scaled = self.hands.update(&REPLICA_SETS, set, Part::Main, |set| {
            set["spec"]["replicas"] = replicas.into();
            revision::annotate_size(set, deployment);
        })?;
        if before != replicas && scaled.is_some() {
            let way = if replicas > before { "up" } else { "down" };
            let name = set.name();
            let text = format!("Scaled {way} replica set {name} from {before} to {replicas}");
            self.hands.events.normal(deployment, "ScalingReplicaSet", text);
        }
        Ok(scaled)
    }

    /// Brings the ReplicaSets to the Deployment's number without rolling on: of a paused
    /// Deployment, or of one that was scaled.
    pub(super) fn scale_all(&self, rollout: &mut Rollout) -> Result<(), Failure> {
        let deployment = Arc::clone(&rollout.deployment);
        let replicas = wanted(&deployment);
        let active: Vec<_> = rollout.all().filter(|set| wanted(set) > 0).cloned().collect();
        let only = match active.as_slice() {
            [] => rollout.new.clone().or_else(|| rollout.old.last().cloned()),
            [only] => Some(Arc::clone(only)),
            _ => None,
        };
        if let Some(only) = only {
            let scaled = self.scale_one(&deployment, &only, replicas)?;
            replace(rollout, scaled);
            return Ok(());
        }
        let saturated = rollout.new.as_ref().is_some_and(|new| {
            let desired = annotation(new, revision::DESIRED).parse() == Ok(replicas);
            wanted(new) == replicas && desired && count(new).available == replicas
        });
        if saturated {
            for set in active {
                let new = rollout.new.as_ref().is_some_and(|new| new.uid() == set.uid());
                if !new {
                    let scaled = self.scale_one(&deployment, &set, 0)?;
                    replace(rollout, scaled);
                }
            }
            return Ok(());
        }
        if deployment["spec"]["strategy"]["type"] != "RollingUpdate" {
            return Ok(());
        }
        let limits = Limits::of(&deployment["spec"]);
        let grows = limits.replicas + limits.surge > active.iter().map(|set| wanted(set)).sum();
        let mut sets = active;
        // Of the same size, the newest grows first and the oldest shrinks first.
        if grows {
            sets.reverse();
        }
        sets.sort_by_key(|set| Reverse(wanted(set)));
        let shares: Vec<_> = sets
            .iter()
            .map(|set| Share {
                wanted: wanted(set),
                most_before: annotation(set, MOST).parse().unwrap_or_else(|_| actual(set)),
            })
            .collect();
        let next = rolling::proportional(limits, &shares);
        for (set, next) in sets.into_iter().zip(next) {
            let scaled = self.scale_one(&deployment, &set, next)?;
            replace(rollout, scaled);
        }
        Ok(())
    }
}

fn replace(rollout: &mut Rollout, scaled: Option<Arc<Value>>) {
    let Some(scaled) = scaled else { return };
    for set in rollout.old.iter_mut().chain(&mut rollout.new) {
        if set.uid() == scaled.uid() {
            *set = Arc::clone(&scaled);
        }
    }
}
