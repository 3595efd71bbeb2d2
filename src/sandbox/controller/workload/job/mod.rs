//! Jobs: pods that are to succeed, so many of them.
//!
//! Each pod carries a finalizer until it is counted, so that none is counted twice or
//! forgotten. Counting and letting go are one step, as the store allows it; a real cluster
//! needs two, and a list of the uncounted between them.

mod count;
mod finish;
mod index;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use self::count::Tally;
use super::{
    claim::selector_of,
    condition,
    hands::{Hands, controller_of, number},
    pod::{from_template, has_ended, is_active, is_ready, time},
    rank,
    replica_set::{is_namespace_ending, pod_concerns},
};
use crate::sandbox::{
    api::{
        delete::{self, Propagation},
        failure::Failure,
        object::{Object, now},
        resource::{JOBS, PODS, Resource},
        store::Event,
        write::Part,
    },
    controller::worker::{Again, Controller, Key},
};

/// What holds a pod until its Job has counted it.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// How long a Job waits after its first failed pod; twice as long after each further one.
const BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

/// The controller of Jobs.
pub(super) struct Jobs {
    hands: Hands,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a Job.
#[derive(Default)]
struct Memory {
    /// Pods that failed since one last succeeded, and when the last one did.
    failures: u32,
    last: Option<Instant>,
    /// Pods that the controller deleted itself: they have not failed.
    condemned: HashSet<String>,
}

impl Controller for Jobs {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&JOBS, &PODS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &JOBS {
            add(Key::of(&event.object));
        } else if event.resource == &PODS {
            pod_concerns(event, &JOBS, add);
            if is_tracked(&event.object) {
                add(Key::orphan(&event.object));
            }
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let store = &self.hands.store;
        match key {
            Key::Object(namespace, name) => match store.get(&JOBS, namespace, name) {
                Some(job) => self.bring(&job),
                None => Ok(None),
            },
            Key::Orphan(namespace, name) => {
                let Some(pod) = store.get(&PODS, namespace, name) else { return Ok(None) };
                let owner = controller_of(&pod).map(|owner| owner.text("/uid"));
                let alive = owner.is_some_and(|uid| store.by_uid(uid).is_some());
                if is_tracked(&pod) && !alive {
                    // Nobody will count it any more.
                    self.hands.update(&PODS, &pod, Part::Main, let_go)?;
                }
                if owner.is_none() && !pod.is_deleting() {
                    let labels = pod.labels();
                    for job in store.list(&JOBS, Some(namespace)).0 {
                        let claims = selector_of(&job["spec"]["selector"]);
                        if claims.is_some_and(|one| !one.everything && one.matches(&labels)) {
                            self.bring(&job)?;
                        }
                    }
                }
                Ok(None)
            }
        }
    }
}

fn is_tracked(pod: &Value) -> bool {
    pod.items("/metadata/finalizers").iter().any(|finalizer| finalizer == TRACKING)
}

fn let_go(pod: &mut Value) {
    delete::set_finalizers(pod, |finalizers| finalizers.retain(|one| one != TRACKING));
}

fn is_indexed(job: &Value) -> bool {
    job["spec"]["completionMode"] == "Indexed"
}

/// Complete or Failed, once it is either.
fn finished(job: &Value) -> Option<&'static str> {
    ["Complete", "Failed"].into_iter().find(|kind| {
        condition::find(&job["status"]["conditions"], kind)
            .is_some_and(|one| one["status"] == "True")
    })
}

impl Jobs {
    /// The controller with its own name in events.
    pub(super) fn new(hands: &Hands) -> Self {
        let events = hands.events.of("job-controller", "");
        Self { hands: Hands { events, ..hands.clone() }, memory: Mutex::default() }
    }

    fn remember<R>(&self, job: &Value, change: impl FnOnce(&mut Memory) -> R) -> R {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        change(memory.entry(job.uid().to_owned()).or_default())
    }

    fn bring(&self, job: &Arc<Value>) -> Result<Again, Failure> {
        if finished(job).is_some() {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(job.uid());
            return self.after_the_end(job);
        }
        let Some(claims) = selector_of(&job["spec"]["selector"]).filter(|one| !one.everything)
        else {
            return Ok(None);
        };
        let pods = self.hands.claim(&JOBS, job, &PODS, &claims, |_| true)?;
        let mut tally = self.count(job, &pods)?;
        let Some(job) = self.hands.store.get(&JOBS, job.namespace(), job.name()) else {
            return Ok(None);
        };
        let mut job = job;
        if job["status"]["startTime"].is_null() && job["spec"]["suspend"] != true {
            let start = |job: &mut Value| job["status"]["startTime"] = now().into();
            if let Some(started) = self.hands.update(&JOBS, &job, Part::Status, start)? {
                job = started;
            }
        }
        let pods: Vec<_> = self
            .hands
            .store
            .owned(job.uid(), Some(&PODS))
            .into_iter()
            .map(|(_, pod)| pod)
            .filter(|pod| controller_of(pod).is_some_and(|owner| owner.text("/uid") == job.uid()))
            .collect();
        let mut active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let ending = finish::judge(&job, &tally, &active);
        let mut again = None;
        let mut result = Ok(());
        if let Some(ending) = &ending {
            result = self.end(&job, ending, &mut active);
        } else if !job.is_deleting() {
            match self.manage(&job, &tally, &pods, &mut active) {
                Ok(wait) => again = wait,
                Err(failure) => result = Err(failure),
            }
        }
        tally.active = active.len();
        tally.ready = active.iter().filter(|pod| is_ready(pod)).count();
        tally.terminating = pods.iter().filter(|pod| pod.is_deleting() && !has_ended(pod)).count();
        self.report(&job, &tally, ending.as_ref())?;
        result?;
        Ok(sooner(again, finish::until_deadline(&job)))
    }

    /// Makes pods that are missing, deletes those that are too many. Says how long a backoff
    /// still lasts.
    fn manage(
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
        if let Some(left) = self.remember(job, |memory| memory.backoff()) {
            return Ok(Some(left));
        }
        let mut free = if is_indexed(job) {
            let completions = number(&spec["completions"], 0);
            let taken: BTreeSet<_> = pods
                .iter()
                .filter(|pod| is_active(pod) || (replaced_late && !has_ended(pod)))
                .filter_map(|pod| index::of(pod))
                .collect();
            index::free(completions, &tally.indexes, &taken, missing)
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
        Ok(None)
    }

    fn create(&self, job: &Value, place: Option<i64>) -> Result<Arc<Value>, Failure> {
        let mut pod = from_template(&JOBS, job, &job["spec"]["template"], None);
        delete::set_finalizers(&mut pod, |finalizers| finalizers.push(TRACKING.to_owned()));
        if let Some(place) = place {
            index::assign(job, &mut pod, place);
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

    fn remove(&self, job: &Value, pod: &Value) -> Result<(), Failure> {
        self.remember(job, |memory| memory.condemned.insert(pod.uid().to_owned()));
        self.hands.delete(&PODS, pod, Propagation::Background)?;
        let text = format!("Deleted pod: {}", pod.name());
        self.hands.events.normal(job, "SuccessfulDelete", text);
        Ok(())
    }

    /// Deletes a Job whose time after its end is over.
    fn after_the_end(&self, job: &Value) -> Result<Again, Failure> {
        for (_, pod) in self.hands.store.owned(job.uid(), Some(&PODS)) {
            if is_tracked(&pod) {
                self.hands.update(&PODS, &pod, Part::Main, let_go)?;
            }
        }
        let Some(keep) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else { return Ok(None) };
        let conditions = &job["status"]["conditions"];
        let end = finished(job)
            .and_then(|kind| time(&condition::find(conditions, kind)?["lastTransitionTime"]));
        let Some(end) = end else { return Ok(None) };
        let passed = Timestamp::now().duration_since(end).as_millis();
        match u64::try_from(i128::from(keep) * 1000 - passed) {
            Ok(left) if left > 0 => Ok(Some(Duration::from_millis(left))),
            _ => {
                self.hands.delete(&JOBS, job, Propagation::Foreground)?;
                Ok(None)
            }
        }
    }

    fn report(
        &self,
        job: &Value,
        tally: &Tally,
        ending: Option<&finish::Ending>,
    ) -> Result<(), Failure> {
        let mut conditions = job["status"]["conditions"].clone();
        let mut status = tally.status(job);
        let suspended = job["spec"]["suspend"] == true;
        let noted = condition::find(&conditions, "Suspended");
        let was = noted.is_some_and(|one| one["status"] == "True");
        if suspended && !was && ending.is_none() {
            condition::put(&mut conditions, "Suspended", "True", "JobSuspended", "Job suspended");
            self.hands.events.normal(job, "Suspended", "Job suspended");
            if let Some(status) = status.as_object_mut() {
                status.remove("startTime");
            }
        } else if !suspended && was {
            condition::put(&mut conditions, "Suspended", "False", "JobResumed", "Job resumed");
            self.hands.events.normal(job, "Resumed", "Job resumed");
        }
        if suspended
            && was
            && let Some(status) = status.as_object_mut()
        {
            status.remove("startTime");
        }
        if let Some(ending) = ending {
            ending.note(&mut conditions);
            if tally.active == 0 && tally.terminating == 0 {
                ending.conclude(&mut conditions);
                if ending.complete {
                    status["completionTime"] = now().into();
                    self.hands.events.normal(job, "Completed", "Job completed");
                } else {
                    self.hands.events.warning(job, ending.reason, ending.message);
                }
            }
        }
        if !condition::is_empty(&conditions) {
            status["conditions"] = conditions;
        }
        self.hands.status(&JOBS, job, status)
    }
}

impl Memory {
    /// How long no pod is made after failures.
    fn backoff(&self) -> Again {
        let doublings = self.failures.checked_sub(1)?;
        let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_BACKOFF);
        let left = wait.saturating_sub(self.last?.elapsed());
        (!left.is_zero()).then_some(left)
    }
}

fn sooner(left: Again, right: Again) -> Again {
    left.into_iter().chain(right).min()
}

/// A Job's pods by hand, for tests of the parts.
#[cfg(test)]
fn example(spec: Value) -> Value {
    serde_json::json!({"metadata": {"name": "j", "namespace": "shop", "uid": "1"}, "spec": spec, "status": {}})
}
