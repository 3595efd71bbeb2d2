//! A Job's pods: those that are missing are made, those that are too many deleted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{Failures, Jobs, TRACKING, count::Tally, index, is_indexed, limit_per_index, sooner};
use crate::sandbox::{
    api::{
        delete::{self, Propagation},
        failure::Failure,
        object::Object,
        resource::{JOBS, PODS},
    },
    controller::{
        worker::Again,
        workload::{
            hands::number,
            pod::{from_template, has_ended, is_active},
            rank,
            replica_set::is_namespace_ending,
        },
    },
};

/// How long a Job waits after its first failed pod; twice as long after each further one.
const BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

impl Jobs {
    /// Makes pods that are missing, deletes those that are too many. Says how long a backoff
    /// still lasts.
    pub(super) fn manage(
        &self,
        job: &Arc<Value>,
        tally: &Tally,
        pods: &[Arc<Value>],
        active: &mut Vec<Arc<Value>>,
    ) -> Result<Again, Failure> {
        let spec = &job["spec"];
        let parallelism = usize::try_from(number(&spec["parallelism"], 1)).unwrap_or_default();
        let suspended = spec["suspend"] == true;
        let wanted = if suspended {
            0
        } else {
            match spec["completions"].as_i64() {
                Some(completions) => {
                    let left = completions - i64::try_from(tally.succeeded).unwrap_or(i64::MAX);
                    parallelism.min(usize::try_from(left).unwrap_or_default())
                }
                // The first success ends a work queue: nothing new is made after it.
                None if tally.succeeded > 0 => active.len().min(parallelism),
                None => parallelism,
            }
        };
        if active.len() > wanted {
            let surplus = active.len() - wanted;
            for pod in rank::first_to_go(active, active, surplus, Timestamp::now()) {
                self.remove(job, &pod)?;
                active.retain(|kept| kept.uid() != pod.uid());
            }
            return Ok(None);
        }
        let replaced_late = spec["podReplacementPolicy"] == "Failed";
        let going = pods.iter().filter(|pod| pod.is_deleting() && !has_ended(pod)).count();
        let there = active.len() + if replaced_late { going } else { 0 };
        let missing = wanted.saturating_sub(there);
        if missing == 0 {
            return Ok(None);
        }
        let per_index = limit_per_index(job).is_some();
        if !per_index && let Some(left) = self.remember(job, |memory| memory.failures.backoff()) {
            return Ok(Some(left));
        }
        let mut again = None;
        let mut free = if is_indexed(job) {
            let completions = number(&spec["completions"], 0);
            let taken: BTreeSet<_> = pods
                .iter()
                .filter(|pod| is_active(pod) || (replaced_late && !has_ended(pod)))
                .filter_map(|pod| index::of(pod))
                .collect();
            let mut done = &tally.indexes | &tally.failed_indexes;
            for (place, failures) in self.remember(job, |memory| memory.indexes.clone()) {
                if !done.contains(&place)
                    && let Some(left) = failures.backoff()
                {
                    done.insert(place);
                    again = sooner(again, Some(left));
                }
            }
            index::free(completions, &done, &taken, missing)
        } else {
            Vec::new()
        }
        .into_iter();
        for _ in 0..missing {
            let place = if is_indexed(job) {
                match free.next() {
                    Some(place) => Some(place),
                    None => break,
                }
            } else {
                None
            };
            active.push(self.create(job, place)?);
        }
        Ok(again)
    }

    fn create(&self, job: &Value, place: Option<i64>) -> Result<Arc<Value>, Failure> {
        let mut pod = from_template(&JOBS, job, &job["spec"]["template"], None);
        delete::set_finalizers(&mut pod, |finalizers| finalizers.push(TRACKING.to_owned()));
        if let Some(place) = place {
            index::assign(job, &mut pod, place);
            if limit_per_index(job).is_some() {
                let all = self.remember(job, |memory| memory.indexes.get(&place).copied());
                index::note_failures(&mut pod, all.unwrap_or_default());
            }
        }
        match self.hands.create(&PODS, job.namespace(), pod) {
            Ok(pod) => {
                let text = format!("Created pod: {}", pod.name());
                self.hands.events.normal(job, "SuccessfulCreate", text);
                Ok(pod)
            }
            Err(failure) => {
                if !is_namespace_ending(&failure) {
                    let text = format!("Error creating: {failure}");
                    self.hands.events.warning(job, "FailedCreate", text);
                }
                Err(failure)
            }
        }
    }

    pub(super) fn remove(&self, job: &Value, pod: &Value) -> Result<(), Failure> {
        self.remember(job, |memory| memory.condemned.insert(pod.uid().to_owned()));
        self.hands.delete(&PODS, pod, Propagation::Background)?;
        let text = format!("Deleted pod: {}", pod.name());
        self.hands.events.normal(job, "SuccessfulDelete", text);
        Ok(())
    }
}

impl Failures {
    /// How long no pod is made after failures.
    fn backoff(&self) -> Again {
        let doublings = self.counted.saturating_add(self.ignored).checked_sub(1)?;
        let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_BACKOFF);
        let left = wait.saturating_sub(self.last?.elapsed());
        (!left.is_zero()).then_some(left)
    }
}
