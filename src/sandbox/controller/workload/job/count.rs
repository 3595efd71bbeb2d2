//! Counting pods that have ended, each once.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    super::condition,
    Failures, Jobs, index, is_indexed, is_tracked, let_go, limit_per_index,
    policy::{self, Action},
};
use crate::sandbox::api::{
    delete,
    failure::Failure,
    object::Object,
    resource::{JOBS, PODS},
};

/// What a Job has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub succeeded: usize,
    pub failed: usize,
    pub active: usize,
    pub ready: usize,
    pub terminating: usize,
    /// Indexes that have succeeded.
    pub indexes: BTreeSet<i64>,
    /// Indexes that have failed for good.
    pub failed_indexes: BTreeSet<i64>,
}

impl Tally {
    /// What the status says so far.
    pub(super) fn of(job: &Value) -> Self {
        let of = |field: &str| {
            let count = job["status"][field].as_u64().unwrap_or_default();
            usize::try_from(count).unwrap_or_default()
        };
        let indexes = |field: &str| index::parse(job["status"][field].as_str().unwrap_or_default());
        Self {
            succeeded: of("succeeded"),
            failed: of("failed"),
            indexes: indexes("completedIndexes"),
            failed_indexes: indexes("failedIndexes"),
            ..Self::default()
        }
    }

    /// The status with these counts.
    pub(super) fn status(&self, job: &Value) -> Value {
        let mut status = json!({
            "ready": self.ready, "terminating": self.terminating, "uncountedTerminatedPods": {},
        });
        for (field, count) in
            [("active", self.active), ("succeeded", self.succeeded), ("failed", self.failed)]
        {
            if count > 0 {
                status[field] = count.into();
            }
        }
        if is_indexed(job) {
            status["completedIndexes"] = index::ranges(&self.indexes).into();
        }
        if limit_per_index(job).is_some() {
            status["failedIndexes"] = index::ranges(&self.failed_indexes).into();
        }
        if let Some(start) = job["status"].get("startTime") {
            status["startTime"] = start.clone();
        }
        status
    }
}

impl Jobs {
    /// Counts the pods that have ended since last time, and lets them go.
    pub(super) fn count(&self, job: &Value, pods: &[Arc<Value>]) -> Result<Tally, Failure> {
        let indexed = is_indexed(job);
        let completions = job["spec"]["completions"].as_i64().unwrap_or_default();
        let early = job["spec"]["podReplacementPolicy"] != "Failed";
        let mut ended: Vec<(Arc<Value>, bool)> = Vec::new();
        for pod in pods.iter().filter(|pod| is_tracked(pod)) {
            match pod["status"]["phase"].as_str() {
                Some("Succeeded") => ended.push((Arc::clone(pod), true)),
                Some("Failed") => ended.push((Arc::clone(pod), false)),
                // A pod that is deleted has failed; waiting for its end would be in vain if
                // its node is gone.
                _ if pod.is_deleting() && (early || is_over(pod)) => {
                    ended.push((Arc::clone(pod), false));
                }
                _ => {}
            }
        }
        if ended.is_empty() {
            return Ok(Tally::of(job));
        }
        let tally = self.hands.store.write(|writer| {
            let now = writer.get(&JOBS, job.namespace(), job.name());
            let Some(now) = now.filter(|now| now.uid() == job.uid()) else {
                return Tally::of(job);
            };
            let mut tally = Tally::of(&now);
            let mut conditions = now["status"]["conditions"].clone();
            for (pod, succeeded) in &ended {
                let there = writer.get(&PODS, pod.namespace(), pod.name());
                let Some(there) =
                    there.filter(|there| there.uid() == pod.uid() && is_tracked(there))
                else {
                    continue;
                };
                let mut free = Value::clone(&there);
                let_go(&mut free);
                delete::put(writer, &PODS, free);
                let mine = self.remember(job, |memory| memory.condemned.remove(pod.uid()));
                let place = index::of(pod).filter(|place| (0..completions).contains(place));
                if *succeeded {
                    tally.indexes.extend(place.filter(|_| indexed));
                    tally.succeeded += usize::from(!indexed);
                    self.remember(job, |memory| memory.failures = Failures::default());
                } else if !mine {
                    let action = policy::of_failure(&now, pod);
                    tally.failed += usize::from(action != Action::Ignore);
                    if let Action::FailJob(message) = &action {
                        let reason = "PodFailurePolicy";
                        condition::put(&mut conditions, "FailureTarget", "True", reason, message);
                    }
                    self.remember(job, |memory| memory.failures.add(&action));
                    let limit = limit_per_index(&now);
                    if let (Some(limit), Some(place)) = (limit, place)
                        && self.fails(job, place, limit, &action)
                    {
                        tally.failed_indexes.insert(place);
                    }
                }
            }
            if indexed {
                tally.succeeded = tally.indexes.len();
            }
            let mut counted = Value::clone(&now);
            for (field, count) in [("succeeded", tally.succeeded), ("failed", tally.failed)] {
                if count > 0 {
                    counted["status"][field] = count.into();
                }
            }
            if indexed {
                counted["status"]["completedIndexes"] = index::ranges(&tally.indexes).into();
            }
            if limit_per_index(&now).is_some() {
                counted["status"]["failedIndexes"] = index::ranges(&tally.failed_indexes).into();
            }
            if !condition::is_empty(&conditions) {
                counted["status"]["conditions"] = conditions;
            }
            writer.put(&JOBS, counted);
            tally
        });
        Ok(tally)
    }

    /// Notes a failed pod of an index, and says whether the index has failed with it.
    fn fails(&self, job: &Value, place: i64, limit: u32, action: &Action) -> bool {
        self.remember(job, |memory| {
            let failures = memory.indexes.entry(place).or_default();
            let over = *action != Action::Ignore && failures.counted >= limit;
            failures.add(action);
            over || *action == Action::FailIndex
        })
    }
}

impl Failures {
    fn add(&mut self, action: &Action) {
        let count = if *action == Action::Ignore { &mut self.ignored } else { &mut self.counted };
        *count = count.saturating_add(1);
        self.last = Some(Instant::now());
    }
}

/// Whether a pod that is being deleted has had its time.
fn is_over(pod: &Value) -> bool {
    pod["metadata"]["deletionGracePeriodSeconds"] == 0
}
