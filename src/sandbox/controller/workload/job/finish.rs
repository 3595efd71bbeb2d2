//! How a Job ends.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{condition, hands::number, pod::time},
    Jobs,
    count::Tally,
};
use crate::sandbox::{
    api::{failure::Failure, object::Object},
    controller::worker::Again,
};

/// The end of a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub complete: bool,
    pub reason: &'static str,
    pub message: &'static str,
}

const COMPLETE: Ending = Ending {
    complete: true,
    reason: "CompletionsReached",
    message: "Reached expected number of succeeded pods",
};
const TOO_MANY_FAILURES: Ending = Ending {
    complete: false,
    reason: "BackoffLimitExceeded",
    message: "Job has reached the specified backoff limit",
};
const TOO_LATE: Ending = Ending {
    complete: false,
    reason: "DeadlineExceeded",
    message: "Job was active longer than specified deadline",
};

/// Whether a Job has come to its end, and which.
pub(super) fn judge(job: &Value, tally: &Tally, active: &[Arc<Value>]) -> Option<Ending> {
    let conditions = &job["status"]["conditions"];
    // What was decided stays decided while the pods end.
    if let Some(target) = condition::find(conditions, "FailureTarget") {
        let late = target["reason"] == TOO_LATE.reason;
        return Some(if late { TOO_LATE } else { TOO_MANY_FAILURES });
    }
    if condition::find(conditions, "SuccessCriteriaMet").is_some() {
        return Some(COMPLETE);
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
    if spec["suspend"] == true {
        return None;
    }
    let complete = match spec["completions"].as_i64() {
        Some(completions) => tally.succeeded >= usize::try_from(completions).unwrap_or_default(),
        None => tally.succeeded > 0 && active.is_empty(),
    };
    complete.then_some(COMPLETE)
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
        condition::put(conditions, kind, "True", self.reason, self.message);
    }

    /// The end itself.
    pub(super) fn conclude(&self, conditions: &mut Value) {
        let kind = if self.complete { "Complete" } else { "Failed" };
        condition::put(conditions, kind, "True", self.reason, self.message);
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
