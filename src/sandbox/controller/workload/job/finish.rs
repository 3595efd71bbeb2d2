//! How a Job ends.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{condition, hands::number, pod::time},
    Jobs,
    count::Tally,
    policy,
};
use crate::sandbox::{
    api::{failure::Failure, object::Object},
    controller::worker::Again,
};

/// The end of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub complete: bool,
    pub reason: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

const fn ending(complete: bool, reason: &'static str, message: &'static str) -> Ending {
    Ending { complete, reason: Cow::Borrowed(reason), message: Cow::Borrowed(message) }
}

const COMPLETE: Ending =
    ending(true, "CompletionsReached", "Reached expected number of succeeded pods");
const TOO_MANY_FAILURES: Ending =
    ending(false, "BackoffLimitExceeded", "Job has reached the specified backoff limit");
const TOO_LATE: Ending =
    ending(false, "DeadlineExceeded", "Job was active longer than specified deadline");
const TOO_MANY_INDEXES: Ending = ending(
    false,
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
);
const FAILED_INDEXES: Ending = ending(false, "FailedIndexes", "Job has failed indexes");

/// Whether a Job has come to its end, and which.
pub(super) fn judge(job: &Value, tally: &Tally, active: &[Arc<Value>]) -> Option<Ending> {
    let conditions = &job["status"]["conditions"];
    // What was decided stays decided while the pods end.
    for (kind, complete) in [("FailureTarget", false), ("SuccessCriteriaMet", true)] {
        if let Some(target) = condition::find(conditions, kind) {
            let text = |field: &str| Cow::Owned(target[field].as_str().unwrap_or_default().into());
            return Some(Ending { complete, reason: text("reason"), message: text("message") });
        }
    }
    let spec = &job["spec"];
    let limit = usize::try_from(number(&spec["backoffLimit"], 6)).unwrap_or(usize::MAX);
    let restarts: i64 = if spec["template"]["spec"]["restartPolicy"] == "OnFailure" {
        let running = active
            .iter()
            .filter(|pod| matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending")));
        let of = |pod: &Value, list: &str| -> i64 {
            pod.items(list).iter().filter_map(|one| one["restartCount"].as_i64()).sum()
        };
        running
            .map(|pod| {
                of(pod, "/status/containerStatuses") + of(pod, "/status/initContainerStatuses")
            })
            .sum()
    } else {
        0
    };
    let restarts = usize::try_from(restarts).unwrap_or_default();
    if tally.failed > limit || (restarts > 0 && restarts >= limit) {
        return Some(TOO_MANY_FAILURES);
    }
    if until_deadline(job).is_some_and(|left| left.is_zero()) {
        return Some(TOO_LATE);
    }
    if let Some(end) = by_indexes(job, tally) {
        return Some(end);
    }
    if spec["suspend"] == true {
        return None;
    }
    let complete = match spec["completions"].as_i64() {
        Some(completions) => tally.succeeded >= usize::try_from(completions).unwrap_or_default(),
        None => tally.succeeded > 0 && active.is_empty(),
    };
    complete.then_some(COMPLETE)
}

/// The end that some indexes alone decide.
fn by_indexes(job: &Value, tally: &Tally) -> Option<Ending> {
    let completions = job["spec"]["completions"].as_i64()?;
    let (failed, all) = (tally.failed_indexes.len(), usize::try_from(completions).ok()?);
    let most = job["spec"]["maxFailedIndexes"].as_u64();
    if most.is_some_and(|most| usize::try_from(most).is_ok_and(|most| failed > most)) {
        return Some(TOO_MANY_INDEXES);
    }
    if failed > 0 && failed + tally.indexes.len() >= all {
        return Some(FAILED_INDEXES);
    }
    let rule = policy::met(job, &tally.indexes)?;
    let message = Cow::Owned(format!("Matched rules at index {rule}"));
    Some(Ending { complete: true, reason: Cow::Borrowed("SuccessPolicy"), message })
}

/// How long a Job may still be active.
pub(super) fn until_deadline(job: &Value) -> Again {
    if job["spec"]["suspend"] == true {
        return None;
    }
    let deadline = job["spec"]["activeDeadlineSeconds"].as_i64()?;
    let passed = Timestamp::now().duration_since(time(&job["status"]["startTime"])?).as_millis();
    let left = i128::from(deadline) * 1000 - passed;
    Some(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
}

impl Ending {
    /// What is to come, while pods still end.
    pub(super) fn note(&self, conditions: &mut Value) {
        let kind = if self.complete { "SuccessCriteriaMet" } else { "FailureTarget" };
        condition::put(conditions, kind, "True", &self.reason, &self.message);
    }

    /// The end itself.
    pub(super) fn conclude(&self, conditions: &mut Value) {
        let kind = if self.complete { "Complete" } else { "Failed" };
        condition::put(conditions, kind, "True", &self.reason, &self.message);
    }
}

impl Jobs {
    /// Ends the pods that still run.
    pub(super) fn end(
        &self,
        job: &Value,
        ending: &Ending,
        active: &mut Vec<Arc<Value>>,
    ) -> Result<(), Failure> {
        for pod in std::mem::take(active) {
            if ending.complete {
                self.remove(job, &pod)?;
            } else {
                // Whatever still runs when a Job fails has failed with it.
                let propagation = crate::sandbox::api::delete::Propagation::Background;
                self.hands.delete(&crate::sandbox::api::resource::PODS, &pod, propagation)?;
                let text = format!("Deleted pod: {}", pod.name());
                self.hands.events.normal(job, "SuccessfulDelete", text);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::example, *};

    #[test]
    fn indexes_decide_alone() {
        let limited = json!({
            "completionMode": "Indexed", "completions": 4, "backoffLimitPerIndex": 0,
            "backoffLimit": 9, "maxFailedIndexes": 1,
            "successPolicy": {"rules": [{"succeededIndexes": "0-1"}]},
        });
        let met = Ending {
            complete: true,
            reason: Cow::Borrowed("SuccessPolicy"),
            message: Cow::Borrowed("Matched rules at index 0"),
        };
        for (message, succeeded, failed, expected) in [
            ("one may fail", &[0][..], &[1][..], None),
            ("two may not", &[0], &[1, 2], Some(TOO_MANY_INDEXES)),
            ("success enough", &[0, 1], &[2], Some(met)),
            ("none is left", &[0, 2, 3], &[1], Some(FAILED_INDEXES)),
        ] {
            let tally = Tally {
                succeeded: succeeded.len(),
                failed: failed.len(),
                indexes: succeeded.iter().copied().collect(),
                failed_indexes: failed.iter().copied().collect(),
                ..Tally::default()
            };
            assert_eq!(judge(&example(limited.clone()), &tally, &[]), expected, "{message}");
        }
    }

    #[test]
    fn a_job_ends_when_it_should() {
        let tally = |succeeded, failed| Tally { succeeded, failed, ..Tally::default() };
        let long_ago = json!({"startTime": "2026-01-01T00:00:00Z"});
        for (message, spec, status, tally, expected) in [
            ("not yet", json!({"completions": 2}), json!({}), tally(1, 0), None),
            ("enough", json!({"completions": 2}), json!({}), tally(2, 0), Some(COMPLETE)),
            ("a work queue", json!({}), json!({}), tally(1, 0), Some(COMPLETE)),
            ("an empty one", json!({}), json!({}), tally(0, 0), None),
            ("at the limit", json!({"backoffLimit": 2}), json!({}), tally(0, 2), None),
            (
                "beyond it",
                json!({"backoffLimit": 2, "completions": 1}),
                json!({}),
                tally(0, 3),
                Some(TOO_MANY_FAILURES),
            ),
            (
                "too late",
                json!({"activeDeadlineSeconds": 5, "completions": 1}),
                long_ago,
                tally(0, 0),
                Some(TOO_LATE),
            ),
            ("suspended", json!({"suspend": true, "completions": 0}), json!({}), tally(0, 0), None),
        ] {
            let mut job = example(spec);
            job["status"] = status;
            assert_eq!(judge(&job, &tally, &[]), expected, "{message}");
        }
    }
}
