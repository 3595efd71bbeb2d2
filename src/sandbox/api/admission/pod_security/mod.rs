//! Pod Security: the levels that a namespace's labels ask for.
//!
//! Pods are refused (`enforce`) or warned about (`warn`); what makes pods is only warned
//! about. `audit` is read and, as there are no audit annotations, has no effect.

mod baseline;
mod level;
mod pod;
mod restricted;

use serde_json::Value;

use super::{
    super::{
        failure::Failure,
        object::Object,
        resource::{NAMESPACES, PODS},
        store::Writer,
    },
    Attempt,
};
use level::{Level, Policy};
pub(super) use pod::Pod;

/// Something that a pod has and a level forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Violation {
    reason: String,
    detail: String,
}

/// Checks a pod, or what makes pods, against its namespace's labels; and a namespace whose
/// level changes against its pods.
///
/// # Errors
/// 403 with everything that the enforced level forbids.
pub(super) fn check(
    writer: &Writer<'_>,
    object: &Value,
    attempt: &Attempt<'_>,
) -> Result<Vec<String>, Failure> {
    if attempt.resource == &NAMESPACES {
        return Ok(check_namespace(writer, object, attempt.before));
    }
    let Some(spec) = pod_spec(object, attempt) else { return Ok(Vec::new()) };
    let Some(namespace) = writer.get(&NAMESPACES, "", attempt.namespace) else {
        return Ok(Vec::new());
    };
    let labels = namespace.labels();
    let (metadata, spec) = spec;
    let pod = Pod::new(metadata, spec);
    let enforced = Policy::of(&labels, "enforce");
    let violated = violations(&enforced, &pod);
    if attempt.resource == &PODS && !violated.is_empty() {
        let detail = format!("violates PodSecurity \"{enforced}\": {}", tell(&violated));
        return Err(Failure::forbidden(attempt.resource, object.name(), &detail));
    }
    let warned = Policy::of(&labels, "warn");
    let violated = violations(&warned, &pod);
    if violated.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!("would violate PodSecurity \"{warned}\": {}", tell(&violated))])
}

/// The pod in an object: itself, or its template.
fn pod_spec<'a>(object: &'a Value, attempt: &Attempt<'_>) -> Option<(&'a Value, &'a Value)> {
    let pointer = match (attempt.resource.group, attempt.resource.plural) {
        ("", "pods") => "",
        ("", "podtemplates") => "/template",
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => "/spec/template",
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    let pod = object.pointer(pointer)?;
    let before = attempt.before.and_then(|before| before.pointer(pointer));
    // An update that leaves the pod as it was is nothing new to judge.
    if before.is_some_and(|before| before.get("spec") == pod.get("spec")) {
        return None;
    }
    Some((pod.get("metadata").unwrap_or(&Value::Null), pod.get("spec")?))
}

fn violations(policy: &Policy, pod: &Pod<'_>) -> Vec<Violation> {
    let (level, version) = (policy.level, policy.minor());
    let mut found = Vec::new();
    if level >= Level::Baseline {
        // What the restricted level says more sharply is said once.
        found.extend(baseline::check(pod, version, level == Level::Restricted));
    }
    if level >= Level::Restricted {
        found.extend(restricted::check(pod, version));
    }
    found
}

fn tell(violations: &[Violation]) -> String {
    let texts = violations.iter().map(|violation| {
        let Violation { reason, detail } = violation;
        if detail.is_empty() { reason.clone() } else { format!("{reason} ({detail})") }
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Warns of pods that are there already and that a new level would refuse.
fn check_namespace(writer: &Writer<'_>, namespace: &Value, before: Option<&Value>) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let policy = Policy::of(&namespace.labels(), "enforce");
    let old = Policy::of(&before.labels(), "enforce");
    if policy == old || policy.level == Level::Privileged || policy.level < old.level {
        return Vec::new();
    }
    let pods = writer.list(&PODS, Some(namespace.name()));
    let mut warnings: Vec<String> = pods
        .iter()
        .filter_map(|pod| {
            let found = violations(&policy, &Pod::new(&pod["metadata"], &pod["spec"]));
            let reasons: Vec<_> = found.iter().map(|one| one.reason.as_str()).collect();
            (!found.is_empty()).then(|| format!("{}: {}", pod.name(), reasons.join(", ")))
        })
        .collect();
    if !warnings.is_empty() {
        let head = format!(
            "existing pods in namespace \"{}\" violate the new PodSecurity enforce level \
             \"{policy}\"",
            namespace.name()
        );
        warnings.insert(0, head);
    }
    warnings
}
