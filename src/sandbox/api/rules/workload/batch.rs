//! Jobs and CronJobs: defaults, the selector that the API server makes, what it refuses.

use serde_json::{Map, Value, json};

use super::{
    super::{
        super::{
            failure::Cause,
            object::{Object, object_mut},
        },
        table::fill,
    },
    defaults::default_template,
    failure_policy,
    schedule::Schedule,
    validate::{counts, template},
};

/// Labels of a Job's pods: the first two are what old clients know.
const JOB_LABELS: [(&str, bool); 4] = [
    ("controller-uid", true),
    ("job-name", false),
    ("batch.kubernetes.io/controller-uid", true),
    ("batch.kubernetes.io/job-name", false),
];

pub(in super::super) fn default_job(object: &mut Value) {
    let spec = object.section_mut("spec");
    let stated = |spec: &Map<String, Value>, field: &str| {
        spec.get(field).is_some_and(|value| !value.is_null())
    };
    if !stated(spec, "completions") && !stated(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let per_index = stated(spec, "backoffLimitPerIndex");
    fill(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    fill(spec, "manualSelector", false);
    let with_policy = stated(spec, "podFailurePolicy");
    fill(spec, "podReplacementPolicy", if with_policy { "Failed" } else { "TerminatingOrFailed" });
    let rules = spec.get_mut("podFailurePolicy").and_then(|policy| policy.get_mut("rules"));
    for rule in rules.and_then(Value::as_array_mut).into_iter().flatten() {
        let patterns = rule.get_mut("onPodConditions").and_then(Value::as_array_mut);
        for pattern in patterns.into_iter().flatten() {
            fill(object_mut(pattern), "status", "True");
        }
    }
    default_template(spec);
}

/// A Job selects its pods by its own uid, unless it says that it selects by hand.
pub(in super::super) fn select_by_uid(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (object.uid().to_owned(), object.name().to_owned());
    let spec = object.section_mut("spec");
    // A selector that a client has copied from another Job stays, and is refused.
    if spec.get("selector").is_none_or(Value::is_null) {
        let labels = json!({"batch.kubernetes.io/controller-uid": uid});
        spec.insert("selector".into(), json!({"matchLabels": labels}));
    }
    let template = object_mut(spec.entry("template").or_insert(Value::Null));
    let metadata = object_mut(template.entry("metadata").or_insert(Value::Null));
    let labels = object_mut(metadata.entry("labels").or_insert(Value::Null));
    for (label, by_uid) in JOB_LABELS {
        fill(labels, label, if by_uid { uid.clone() } else { name.clone() });
    }
}

pub(in super::super) fn validate_job(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    counts(
        object,
        &[
            "parallelism",
            "completions",
            "backoffLimit",
            "backoffLimitPerIndex",
            "maxFailedIndexes",
            "activeDeadlineSeconds",
            "ttlSecondsAfterFinished",
        ],
        &mut causes,
    );
    let spec = &object["spec"];
    specification(spec, "spec", &mut causes);
    let selector = &spec["selector"]["matchLabels"];
    let labels = spec["template"].labels();
    let matches = selector.as_object().into_iter().flatten().all(|(key, value)| {
        labels.get(key).is_some_and(|found| Some(found.as_str()) == value.as_str())
    });
    if !matches {
        let message = "`selector` does not match template `labels`";
        let found = &spec["template"]["metadata"]["labels"];
        causes.push(Cause::invalid("spec.template.metadata.labels", found, message));
    }
    let own = selector.get("batch.kubernetes.io/controller-uid").and_then(Value::as_str);
    if before.is_none() && spec["manualSelector"] != true && own != Some(object.uid()) {
        let message = "`selector` not auto-generated";
        causes.push(Cause::invalid("spec.selector", &spec["selector"], message));
    }
    if let Some(before) = before {
        let suspended =
            before["spec"]["suspend"] == true && before["status"]["startTime"].is_null();
        let fixed = [
            "selector",
            "completions",
            "completionMode",
            "podFailurePolicy",
            "successPolicy",
            "backoffLimitPerIndex",
            "managedBy",
        ];
        for field in fixed {
            // An Indexed Job may be scaled, together with its parallelism.
            let elastic = field == "completions"
                && spec["completionMode"] == "Indexed"
                && spec["completions"] == spec["parallelism"];
            if before["spec"][field] != spec[field] && !elastic {
                let message = "field is immutable";
                causes.push(Cause::invalid(format!("spec.{field}"), &spec[field], message));
            }
        }
        if before["spec"]["template"] != spec["template"] && !suspended {
            let message = "field is immutable";
            causes.push(Cause::invalid("spec.template", &spec["template"], message));
        }
    }
    causes
}

fn specification(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    template(&spec["template"], &format!("{field}.template"), causes);
    let policy = spec["template"]["spec"]["restartPolicy"].as_str();
    if !matches!(policy, Some("OnFailure" | "Never")) {
        let place = format!("{field}.template.spec.restartPolicy");
        causes.push(Cause::required(place, "valid values: \"OnFailure\", \"Never\""));
    }
    failure_policy::per_index(spec, field, causes);
    failure_policy::failure(spec, field, causes);
    failure_policy::success(spec, field, causes);
    let mode = &spec["completionMode"];
    match mode.as_str() {
        Some("Indexed") if spec["completions"].is_null() => {
            let detail = "when completion mode is Indexed";
            causes.push(Cause::required(format!("{field}.completions"), detail));
        }
        Some("Indexed" | "NonIndexed") => {}
        None if mode.is_null() => {}
        _ => {
            let known = &["Indexed", "NonIndexed"];
            causes.push(Cause::not_supported(format!("{field}.completionMode"), mode, known));
        }
    }
}

pub(in super::super) fn default_cron_job(object: &mut Value) {
    let spec = object.section_mut("spec");
    fill(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = spec.get_mut("jobTemplate").and_then(Value::as_object_mut) {
        fill(job, "metadata", json!({}));
        default_template(object_mut(job.entry("spec").or_insert(Value::Null)));
    }
}

pub(in super::super) fn validate_cron_job(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &object["spec"];
    // Eleven characters are left for the time in the names of the Jobs.
    if before.is_none() && object.name().len() > 52 {
        let message = "must be no more than 52 characters";
        causes.push(Cause::invalid("metadata.name", &object.name().into(), message));
    }
    let text = spec["schedule"].as_str().unwrap_or_default();
    let zone = spec["timeZone"].as_str();
    if text.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if text.contains("TZ") && before.is_none() {
        let message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        causes.push(Cause::invalid("spec.schedule", &text.into(), message));
    } else if let Err(error) = Schedule::parse(text) {
        causes.push(Cause::invalid("spec.schedule", &text.into(), &error.to_string()));
    }
    if let Some(zone) = zone
        && (zone.is_empty() || zone.eq_ignore_ascii_case("local") || Schedule::zone(zone).is_none())
    {
        let message = match zone {
            "" => "timeZone must be nil or non-empty string".to_owned(),
            _ if zone.eq_ignore_ascii_case("local") => {
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
                    .to_owned()
            }
            _ => format!("unknown time zone {zone}"),
        };
        causes.push(Cause::invalid("spec.timeZone", &zone.into(), &message));
    }
    if !matches!(spec["concurrencyPolicy"].as_str(), Some("Allow" | "Forbid" | "Replace")) {
        let known = &["Allow", "Forbid", "Replace"];
        let field = "spec.concurrencyPolicy";
        causes.push(Cause::not_supported(field, &spec["concurrencyPolicy"], known));
    }
    let fields =
        ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    counts(object, &fields, &mut causes);
    specification(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", &mut causes);
    causes
}
