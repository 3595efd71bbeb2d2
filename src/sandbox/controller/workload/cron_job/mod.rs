//! CronJobs: a Job at each time of a schedule.

mod missed;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use self::missed::missed;
use super::{
    condition,
    hands::{Hands, controller_of, controller_reference, is_of},
    pod::{mark, time},
};
use crate::sandbox::{
    api::{
        Schedule,
        delete::Propagation,
        failure::Failure,
        object::Object,
        resource::{CRON_JOBS, JOBS, Resource},
        store::Event,
    },
    controller::worker::{Again, Controller, Key},
};

/// The time for which a Job was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// How much later than its time a CronJob is looked at, so that the time is past for sure.
const LATE: Duration = Duration::from_millis(100);

/// The controller of CronJobs.
pub(super) struct CronJobs {
    hands: Hands,
}

impl Controller for CronJobs {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&CRON_JOBS]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &CRON_JOBS {
            add(Key::of(&event.object));
        } else if event.resource == &JOBS
            && let Some(owner) = controller_of(&event.object)
            && is_of(owner, &CRON_JOBS)
        {
            let namespace = event.object.namespace().to_owned();
            add(Key::Object(namespace, owner.text("/name").to_owned()));
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let (Key::Object(namespace, name) | Key::Orphan(namespace, name)) = key;
        match self.hands.store.get(&CRON_JOBS, namespace, name) {
            Some(cron) => self.bring(&cron),
            None => Ok(None),
        }
    }
}

/// The end of a Job: which, and when.
fn end(job: &Value) -> Option<(&'static str, Timestamp)> {
    ["Complete", "Failed"].into_iter().find_map(|kind| {
        let one = condition::find(&job["status"]["conditions"], kind)?;
        let ended = one["status"] == "True";
        ended.then(|| (kind, time(&one["lastTransitionTime"]).unwrap_or(Timestamp::UNIX_EPOCH)))
    })
}

impl CronJobs {
    /// The controller with its own name in events.
    pub(super) fn new(hands: &Hands) -> Self {
        let events = hands.events.of("cronjob-controller", "");
        Self { hands: Hands { events, ..hands.clone() } }
    }

    fn bring(&self, cron: &Arc<Value>) -> Result<Again, Failure> {
        let mut jobs: Vec<_> = self
            .hands
            .store
            .owned(cron.uid(), Some(&JOBS))
            .into_iter()
            .map(|(_, job)| job)
            .filter(|job| controller_of(job).is_some_and(|owner| owner.text("/uid") == cron.uid()))
            .collect();
        jobs.sort_by_key(|job| job.text("/metadata/creationTimestamp").to_owned());
        let mut status = cron["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        self.look_after(cron, &jobs, &mut status);
        self.forget(cron, &jobs)?;
        let result = if cron.is_deleting() || cron["spec"]["suspend"] == true {
            Ok(None)
        } else {
            self.start(cron, &jobs, &mut status)
        };
        self.hands.status(&CRON_JOBS, cron, status)?;
        result
    }

    /// Brings the list of active Jobs up to date.
    fn look_after(&self, cron: &Value, jobs: &[Arc<Value>], status: &mut Value) {
        let known: Vec<_> = cron.items("/status/active").iter().map(|one| one.uid_of()).collect();
        for job in jobs {
            let Some((kind, when)) = end(job) else { continue };
            if known.contains(&job.uid()) {
                let text = format!("Saw completed job: {}, condition: {kind}", job.name());
                self.hands.events.normal(cron, "SawCompletedJob", text);
            }
            let latest = time(&status["lastSuccessfulTime"]);
            if kind == "Complete" && latest.is_none_or(|latest| latest < when) {
                status["lastSuccessfulTime"] = stamp(when).into();
            }
        }
        for one in cron.items("/status/active") {
            if !jobs.iter().any(|job| job.uid() == one.uid_of()) {
                let text = format!("Active job went missing: {}", one.text("/name"));
                self.hands.events.normal(cron, "MissingJob", text);
            }
        }
        let active = jobs.iter().filter(|job| end(job).is_none());
        set_active(status, active.map(|job| reference(job)).collect());
    }

    /// Deletes the oldest ended Jobs beyond the limits.
    fn forget(&self, cron: &Value, jobs: &[Arc<Value>]) -> Result<(), Failure> {
        for (kind, field) in
            [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")]
        {
            let Some(limit) = cron["spec"][field].as_i64() else { continue };
            let ended: Vec<_> = jobs
                .iter()
                .filter(|job| end(job).is_some_and(|(ended, _)| ended == kind))
                .collect();
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
            for job in ended.into_iter().take(surplus).filter(|job| !job.is_deleting()) {
                self.drop_job(cron, job)?;
            }
        }
        Ok(())
    }

    fn drop_job(&self, cron: &Value, job: &Value) -> Result<(), Failure> {
        self.hands.delete(&JOBS, job, Propagation::Background)?;
        let text = format!("Deleted job {}", job.name());
        self.hands.events.normal(cron, "SuccessfulDelete", text);
        Ok(())
    }

    /// Starts the Job whose time has come; says when the next one comes.
    fn start(
        &self,
        cron: &Value,
        jobs: &[Arc<Value>],
        status: &mut Value,
    ) -> Result<Again, Failure> {
        let events = &self.hands.events;
        let spec = &cron["spec"];
        let text = spec["schedule"].as_str().unwrap_or_default();
        let schedule = match Schedule::parse(text) {
            Ok(schedule) => schedule,
            Err(error) => {
                let text = format!("unparseable schedule: {text} : {error}");
                events.warning(cron, "UnparseableSchedule", text);
                return Ok(None);
            }
        };
        let zone = match spec["timeZone"].as_str() {
            None => TimeZone::UTC,
            Some(name) => match Schedule::zone(name) {
                Some(zone) => zone,
                None => {
                    let text = format!("invalid timeZone: {name}: unknown time zone {name}");
                    events.warning(cron, "UnknownTimeZone", text);
                    return Ok(None);
                }
            },
        };
        let now = Timestamp::now();
        let created = time(&cron["metadata"]["creationTimestamp"]).unwrap_or(now);
        let mut since = time(&status["lastScheduleTime"]).unwrap_or(created);
        let patience = spec["startingDeadlineSeconds"].as_i64();
        if let Some(patience) = patience
            && let Ok(earliest) = now.checked_sub(SignedDuration::from_secs(patience))
        {
            since = since.max(earliest);
        }
        let next = schedule.next(now, &zone).map(|next| {
            let left = next.duration_since(now).as_millis();
            Duration::from_millis(u64::try_from(left).unwrap_or_default()) + LATE
        });
        let (due, too_many) = missed(&schedule, &zone, since, now);
        if too_many {
            let text = "too many missed start times. Set or decrease \
                        .spec.startingDeadlineSeconds or check clock skew";
            events.warning(cron, "TooManyMissedTimes", text);
        }
        let Some(due) = due else { return Ok(next) };
        let late = patience.is_some_and(|patience| now.duration_since(due).as_secs() > patience);
        if late {
            let text = format!("Missed scheduled time to start a job: {}", stamp(due));
            events.warning(cron, "MissSchedule", text);
            return Ok(next);
        }
        let active: Vec<_> = jobs.iter().filter(|job| end(job).is_none()).collect();
        match spec["concurrencyPolicy"].as_str() {
            Some("Forbid") if !active.is_empty() => {
                let text = "Not starting job because prior execution is running and concurrency \
                            policy is Forbid";
                events.normal(cron, "JobAlreadyActive", text);
                return Ok(next);
            }
            Some("Replace") => {
                for job in active {
                    self.drop_job(cron, job)?;
                }
                set_active(status, Vec::new());
            }
            _ => {}
        }
        let job = job_at(cron, due, &zone);
        let name = job.name().to_owned();
        let made = match self.hands.create(&JOBS, cron.namespace(), job) {
            Ok(made) => {
                events.normal(cron, "SuccessfulCreate", format!("Created job {name}"));
                Some(made)
            }
            // It was made last time, and the status could not be written.
            Err(failure) if failure.reason == "AlreadyExists" => {
                self.hands.store.get(&JOBS, cron.namespace(), &name)
            }
            Err(failure) => {
                let text = format!("Error creating job: {failure}");
                events.warning(cron, "FailedCreate", text);
                return Err(failure);
            }
        };
        if let Some(made) = made {
            let mut active = status.items("/active").to_vec();
            if !active.iter().any(|one| one.uid_of() == made.uid()) && end(&made).is_none() {
                active.push(reference(&made));
            }
            set_active(status, active);
        }
        status["lastScheduleTime"] = stamp(due).into();
        Ok(next)
    }
}

/// A reference's uid.
trait Reference {
    fn uid_of(&self) -> &str;
}

impl Reference for Value {
    fn uid_of(&self) -> &str {
        self["uid"].as_str().unwrap_or_default()
    }
}

fn set_active(status: &mut Value, active: Vec<Value>) {
    if let Some(status) = status.as_object_mut() {
        if active.is_empty() {
            status.remove("active");
        } else {
            status.insert("active".into(), active.into());
        }
    }
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": job.name(), "uid": job.uid(),
        "namespace": job.namespace(),
        "resourceVersion": job["metadata"]["resourceVersion"],
    })
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The Job for one of the schedule's times.
fn job_at(cron: &Value, due: Timestamp, zone: &TimeZone) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    let mut metadata = json!({
        "name": format!("{}-{}", cron.name(), due.as_second() / 60),
        "ownerReferences": [controller_reference(&CRON_JOBS, cron)],
    });
    for field in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut job = json!({"metadata": metadata, "spec": template["spec"]});
    let local = due.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let local = local.strip_suffix("+00:00").map_or(local.clone(), |time| format!("{time}Z"));
    mark(&mut job, "annotations", SCHEDULED, &local);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_after_its_minute() {
        let cron = json!({"metadata": {"name": "tick", "uid": "1"}, "spec": {"jobTemplate": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"x": 1},
        }}});
        let due = "2026-01-01T00:10:00Z".parse().expect("a time");
        let job = job_at(&cron, due, &TimeZone::UTC);
        assert_eq!(job.name(), "tick-29453770");
        assert_eq!(job["metadata"]["annotations"][SCHEDULED], "2026-01-01T00:10:00Z");
        assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
    }
}
