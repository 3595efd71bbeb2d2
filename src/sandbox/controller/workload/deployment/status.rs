//! What a Deployment says of itself.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{condition, hands::number, pod::time},
    Deployments, Rollout, actual, count,
    rolling::Limits,
    wanted,
};
use crate::sandbox::{
    api::{failure::Failure, object::Object, resource::DEPLOYMENTS, write::Part},
    controller::worker::Again,
};

/// Whether the condition Progressing is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It stays as it is: while paused or being scaled, nothing progresses.
    Untouched,
    /// It follows from what has changed.
    Judged,
}

/// Sets Progressing, with the time of the update.
pub(super) fn set_progressing(object: &mut Value, holds: &str, reason: &str, message: &str) {
    let mut conditions = object["status"]["conditions"].clone();
    condition::replace(&mut conditions, "Progressing", holds, reason, message);
    condition::updated(&mut conditions, "Progressing");
    object.section_mut("status").insert("conditions".into(), conditions);
}

/// Whether all pods are of the newest revision, and available.
pub(super) fn is_complete(rollout: &Rollout) -> bool {
    complete(&counts(rollout), &rollout.deployment)
}

fn complete(status: &Value, deployment: &Value) -> bool {
    let replicas = wanted(deployment);
    ["updatedReplicas", "replicas", "availableReplicas"]
        .iter()
        .all(|field| number(&status[*field], 0) == replicas)
}

/// The status but for its conditions.
fn counts(rollout: &Rollout) -> Value {
    let deployment = &rollout.deployment;
    let sum = |of: fn(&Value) -> i64| rollout.all().map(|set| of(set)).sum::<i64>();
    let all = sum(wanted);
    let available = sum(|set| count(set).available);
    let mut status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "terminatingReplicas": sum(|set| number(&set["status"]["terminatingReplicas"], 0)),
    });
    for (field, value) in [
        ("replicas", sum(actual)),
        ("updatedReplicas", rollout.new.as_ref().map_or(0, |new| actual(new))),
        ("readyReplicas", sum(|set| number(&set["status"]["readyReplicas"], 0))),
        ("availableReplicas", available),
        ("unavailableReplicas", (all - available).max(0)),
    ] {
        if value != 0 {
            status[field] = value.into();
        }
    }
    if let Some(count) = deployment["status"].get("collisionCount") {
        status["collisionCount"] = count.clone();
    }
    status
}

impl Deployments {
    /// Notes in the condition Progressing that a Deployment is paused, or isn't any more.
    pub(super) fn note_pause(&self, deployment: &Arc<Value>) -> Result<Arc<Value>, Failure> {
        if deployment["spec"]["progressDeadlineSeconds"].is_null() {
            return Ok(Arc::clone(deployment));
        }
        let paused = deployment["spec"]["paused"] == true;
        let known = condition::find(&deployment["status"]["conditions"], "Progressing");
        if known.is_some_and(|known| {
            // A rollout that has run out of time stays so.
            known["reason"] == "ProgressDeadlineExceeded"
        }) {
            return Ok(Arc::clone(deployment));
        }
        let noted = known.is_some_and(|known| known["reason"] == "DeploymentPaused");
        let (reason, message) = match (paused, noted) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(Arc::clone(deployment)),
        };
        let change = |object: &mut Value| set_progressing(object, "Unknown", reason, message);
        let now = self.hands.update(&DEPLOYMENTS, deployment, Part::Status, change)?;
        Ok(now.unwrap_or_else(|| Arc::clone(deployment)))
    }

    /// Writes the status.
    pub(super) fn report(&self, rollout: &Rollout, progress: Progress) -> Result<Again, Failure> {
        let deployment = &rollout.deployment;
        let mut status = counts(rollout);
        let mut conditions = deployment["status"]["conditions"].clone();
        let limits = Limits::of(&deployment["spec"]);
        let available = number(&status["availableReplicas"], 0) >= limits.at_least();
        let (holds, reason, message) = if available {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            let text = "Deployment does not have minimum availability.";
            ("False", "MinimumReplicasUnavailable", text)
        };
        put(&mut conditions, "Available", holds, reason, message);
        if progress == Progress::Judged {
            self.judge(rollout, &status, &mut conditions);
        }
        let again = until_stuck(deployment, &status, &conditions);
        status["conditions"] = conditions;
        self.hands.status(&DEPLOYMENTS, deployment, status)?;
        Ok(again)
    }

    fn judge(&self, rollout: &Rollout, status: &Value, conditions: &mut Value) {
        let deployment = &rollout.deployment;
        let limited = !deployment["spec"]["progressDeadlineSeconds"].is_null();
        if limited {
            let before = condition::find(conditions, "Progressing").cloned();
            let reason =
                |reason: &str| before.as_ref().is_some_and(|known| known["reason"] == reason);
            let settled = number(&status["replicas"], 0) == number(&status["updatedReplicas"], 0)
                && reason("NewReplicaSetAvailable");
            let what = match &rollout.new {
                Some(new) => format!("ReplicaSet \"{}\"", new.name()),
                None => format!("Deployment \"{}\"", deployment.name()),
            };
            if settled {
            } else if complete(status, deployment) {
                let text = format!("{what} has successfully progressed.");
                put(conditions, "Progressing", "True", "NewReplicaSetAvailable", &text);
            } else if progressed(status, &deployment["status"]) {
                let text = format!("{what} is progressing.");
                condition::replace(conditions, "Progressing", "True", "ReplicaSetUpdated", &text);
                condition::updated(conditions, "Progressing");
            } else if timed_out(deployment, conditions) {
                let text = format!("{what} has timed out progressing.");
                put(conditions, "Progressing", "False", "ProgressDeadlineExceeded", &text);
            }
        } else {
            condition::remove(conditions, "Progressing");
        }
        let sets = rollout.new.iter().chain(&rollout.old);
        let mut failures = sets.filter_map(|set| {
            condition::find(&set["status"]["conditions"], "ReplicaFailure").cloned()
        });
        match failures.next() {
            Some(failure) => {
                let (reason, text) = (failure.text("/reason"), failure.text("/message"));
                put(conditions, "ReplicaFailure", "True", reason, text);
            }
            None => condition::remove(conditions, "ReplicaFailure"),
        }
    }
}

fn put(conditions: &mut Value, kind: &str, holds: &str, reason: &str, message: &str) {
    let before = conditions.clone();
    condition::put(conditions, kind, holds, reason, message);
    if before != *conditions {
        condition::updated(conditions, kind);
    }
}

/// Whether anything has moved on since the last status.
fn progressed(now: &Value, before: &Value) -> bool {
    let of = |status: &Value, field: &str| number(&status[field], 0);
    let old = |status: &Value| of(status, "replicas") - of(status, "updatedReplicas");
    of(now, "updatedReplicas") > of(before, "updatedReplicas")
        || old(now) < old(before)
        || of(now, "readyReplicas") > of(before, "readyReplicas")
        || of(now, "availableReplicas") > of(before, "availableReplicas")
}

/// How long it takes from now until a rollout has run out of time.
fn time_left(deployment: &Value, conditions: &Value) -> Option<Duration> {
    let deadline = deployment["spec"]["progressDeadlineSeconds"].as_i64()?;
    // The largest number means never.
    let deadline = Some(deadline).filter(|deadline| *deadline < i64::from(i32::MAX))?;
    let since = time(&condition::find(conditions, "Progressing")?["lastUpdateTime"])?;
    let passed = Timestamp::now().duration_since(since).as_millis();
    let left = i128::from(deadline) * 1000 - passed;
    Some(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
}

fn timed_out(deployment: &Value, conditions: &Value) -> bool {
    let Some(known) = condition::find(conditions, "Progressing") else { return false };
    match known.text("/reason") {
        // What was complete once is not in a rollout; a pod that is lost is no new one.
        "NewReplicaSetAvailable" => false,
        "ProgressDeadlineExceeded" => true,
        _ => time_left(deployment, conditions).is_some_and(|left| left.is_zero()),
    }
}

/// When to look again whether a rollout is stuck.
fn until_stuck(deployment: &Value, status: &Value, conditions: &Value) -> Again {
    let known = condition::find(conditions, "Progressing")?;
    let over = matches!(
        known.text("/reason"),
        "ProgressDeadlineExceeded" | "DeploymentPaused" | "NewReplicaSetAvailable"
    );
    if over || complete(status, deployment) || deployment["spec"]["paused"] == true {
        return None;
    }
    Some(time_left(deployment, conditions)? + Duration::from_millis(200))
}
