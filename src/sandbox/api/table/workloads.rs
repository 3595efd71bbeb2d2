//! Cells of the kinds that run pods.

use serde_json::Value;

use super::{
    super::object::Object,
    cells::{joined, number, or, plain, selector},
    time,
};

/// Where a kind keeps the containers of its pods.
fn containers(object: &Value) -> &[Value] {
    match object.text("/kind") {
        "CronJob" => object.items("/spec/jobTemplate/spec/template/spec/containers"),
        "PodTemplate" => object.items("/template/spec/containers"),
        _ => object.items("/spec/template/spec/containers"),
    }
}

pub(super) fn names(object: &Value) -> Value {
    joined(containers(object), "/name").into()
}

pub(super) fn images(object: &Value) -> Value {
    joined(containers(object), "/image").into()
}

pub(super) fn pods(object: &Value) -> Value {
    selector(&object["spec"]["selector"]).into()
}

pub(super) fn ready(object: &Value) -> Value {
    let ready = number(object, "/status/readyReplicas");
    format!("{ready}/{}", number(object, "/spec/replicas")).into()
}

pub(super) fn job_status(job: &Value) -> Value {
    let holds = |kind: &str| {
        let mut conditions = job.items("/status/conditions").iter();
        conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    let status = match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if job.is_deleting() => "Terminating",
        () if holds("Suspended") => "Suspended",
        () if holds("FailureTarget") => "FailureTarget",
        () if holds("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    status.into()
}

pub(super) fn job_completions(job: &Value) -> Value {
    let succeeded = number(job, "/status/succeeded");
    let parallelism = number(job, "/spec/parallelism");
    match job.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
    .into()
}

pub(super) fn job_duration(job: &Value) -> Value {
    match (job.text("/status/startTime"), job.text("/status/completionTime")) {
        ("", _) => "".into(),
        (start, "") => time::since(start).into(),
        (start, end) => time::between(start, end).into(),
    }
}

pub(super) fn last_schedule(cron: &Value) -> Value {
    match cron.text("/status/lastScheduleTime") {
        "" => "<none>".into(),
        last => time::since(last).into(),
    }
}

/// `cpu: <unknown>/80%`, for each metric.
pub(super) fn metrics(scaler: &Value) -> Value {
    let specs = scaler.items("/spec/metrics");
    let mut list = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let kind = spec.text("/type");
        let key: String = kind
            .char_indices()
            .map(|(place, letter)| if place == 0 { letter.to_ascii_lowercase() } else { letter })
            .collect();
        let source = &spec[key.as_str()];
        let current = scaler.pointer(&format!("/status/currentMetrics/{index}/{key}/current"));
        let now = |field: &str| {
            let value = current.and_then(|current| current.get(field));
            or(plain(value), "<unknown>")
        };
        let average = source.pointer("/target/averageValue");
        let resource = matches!(kind, "Resource" | "ContainerResource");
        list.push(match average {
            Some(average) if resource => {
                format!(
                    "{}: {}/{}",
                    source.text("/name"),
                    now("averageValue"),
                    plain(Some(average))
                )
            }
            Some(average) if kind == "Pods" => {
                format!("{}/{}", now("averageValue"), plain(Some(average)))
            }
            Some(average) => format!("{}/{} (avg)", now("averageValue"), plain(Some(average))),
            None if resource => {
                let percent = |value: Option<&Value>, other: &str| {
                    value.map_or(other.to_owned(), |value| format!("{value}%"))
                };
                let current = current.and_then(|current| current.get("averageUtilization"));
                format!(
                    "{}: {}/{}",
                    source.text("/name"),
                    percent(current, "<unknown>"),
                    percent(source.pointer("/target/averageUtilization"), "<auto>"),
                )
            }
            None => format!("{}/{}", now("value"), plain(source.pointer("/target/value"))),
        });
    }
    let text = if list.len() > 2 {
        format!("{} + {} more...", list[..2].join(", "), list.len() - 2)
    } else {
        list.join(", ")
    };
    or(text, "<none>").into()
}
