//! Jobs: pods that are to succeed, so many of them.
//!
//! Each pod carries a finalizer until it is counted, so that none is counted twice or
//! forgotten. Counting and letting go are one step, as the store allows it; a real cluster
//! needs two, and a list of the uncounted between them.

mod count;
mod finish;
mod index;
mod manage;
mod policy;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    hands::{Hands, controller_of},
    pod::{has_ended, is_active, is_ready, time},
    replica_set::pod_concerns,
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

/// The controller of Jobs.
pub(super) struct Jobs {
    hands: Hands,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a Job.
#[derive(Default)]
struct Memory {
    /// Pods that failed since one last succeeded.
    failures: Failures,
    /// The same of each index, where each has a limit of its own.
    indexes: BTreeMap<i64, Failures>,
    /// Pods that the controller deleted itself: they have not failed.
    condemned: HashSet<String>,
}

/// Pods that failed one after the other.
#[derive(Clone, Copy, Default)]
struct Failures {
    counted: u32,
    /// Those that don't count, by the Job's policy.
    ignored: u32,
    /// When the last one did.
    last: Option<Instant>,
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

/// How often each index may fail, where each has a limit of its own.
fn limit_per_index(job: &Value) -> Option<u32> {
    let limit = job["spec"]["backoffLimitPerIndex"].as_i64().filter(|_| is_indexed(job))?;
    Some(u32::try_from(limit).unwrap_or(u32::MAX))
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
                    self.hands.events.warning(job, &ending.reason, &*ending.message);
                }
            }
        }
        if !condition::is_empty(&conditions) {
            status["conditions"] = conditions;
        }
        self.hands.status(&JOBS, job, status)
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
