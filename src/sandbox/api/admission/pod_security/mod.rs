//! Pod Security: the levels that a namespace's labels ask for.
//!
//! Pods are refused (`enforce`) or warned about (`warn`); what makes pods is only warned
//! about. `audit` is read and, as there are no audit annotations, has no effect. Labels that
//! say nothing that is known are refused with the namespace.

mod baseline;
mod level;
mod pod;
mod restricted;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

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
use level::{Level, Policies, Policy};
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
/// 403 with everything that the enforced level forbids; 422 for labels of a namespace.
pub(super) fn check(
    writer: &Writer<'_>,
    object: &Value,
    attempt: &Attempt<'_>,
) -> Result<Vec<String>, Failure> {
    if attempt.resource == &NAMESPACES {
        return check_namespace(writer, object, attempt.before);
    }
    let Some((metadata, spec)) = pod_spec(object, attempt) else { return Ok(Vec::new()) };
    let Some(namespace) = writer.get(&NAMESPACES, "", attempt.namespace) else {
        return Ok(Vec::new());
    };
    let Policies { enforce, warn, .. } = Policies::of(&namespace.labels());
    let pod = Pod::new(metadata, spec);
    let violated = violations(&enforce, &pod);
    if attempt.resource == &PODS && !violated.is_empty() {
        let detail = format!("violates PodSecurity \"{enforce}\": {}", tell(&violated));
        return Err(Failure::forbidden(attempt.resource, object.name(), &detail));
    }
    let violated = violations(&warn, &pod);
    if violated.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!("would violate PodSecurity \"{warn}\": {}", tell(&violated))])
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
    let is_pod = attempt.resource == &PODS;
    if attempt.before.is_some_and(|before| is_pod && !runs_otherwise(object, before)) {
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

/// Whether a pod's update changes what may be judged: its containers, or their images. The
/// makers of pods are judged with each update.
fn runs_otherwise(after: &Value, before: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<String> {
        pod.items(list).iter().map(|container| container.text("/image").to_owned()).collect()
    };
    let fixed = ["/spec/containers", "/spec/initContainers"];
    let ephemeral = |pod: &Value| -> BTreeMap<String, String> {
        let containers = pod.items("/spec/ephemeralContainers").iter();
        let of = |one: &Value| (one.text("/name").to_owned(), one.text("/image").to_owned());
        containers.map(of).collect()
    };
    let known = ephemeral(before);
    fixed.iter().any(|list| images(after, list) != images(before, list))
        || ephemeral(after).iter().any(|(name, image)| known.get(name) != Some(image))
}

/// Refuses labels that say nothing that is known, and warns of pods that are there already
/// and that a new level would refuse.
fn check_namespace(
    writer: &Writer<'_>,
    namespace: &Value,
    before: Option<&Value>,
) -> Result<Vec<String>, Failure> {
    let wanted = Policies::of(&namespace.labels());
    let stood = before.map(|before| Policies::of(&before.labels()));
    let is_new = stood.as_ref().is_none_or(|stood| stood.mistakes != wanted.mistakes);
    if is_new && !wanted.mistakes.is_empty() {
        return Err(Failure::invalid(&NAMESPACES, namespace.name(), &wanted.mistakes));
    }
    let (policy, Some(old)) = (wanted.enforce, stood.map(|stood| stood.enforce)) else {
        return Ok(Vec::new());
    };
    let is_laxer = policy.version == old.version && policy.level <= old.level;
    if policy == old || policy.level == Level::Privileged || is_laxer {
        return Ok(Vec::new());
    }
    // The names of the pods, by what is wrong with them.
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in writer.list(&PODS, Some(namespace.name())) {
        let violated = violations(&policy, &Pod::new(&pod["metadata"], &pod["spec"]));
        let reasons: Vec<_> = violated.iter().map(|one| one.reason.as_str()).collect();
        if !reasons.is_empty() {
            found.entry(reasons.join(", ")).or_default().push(pod.name().to_owned());
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut warnings: Vec<String> =
        found.into_iter().map(|(what, pods)| who(pods, &what)).collect();
    warnings.sort();
    let head = format!(
        "existing pods in namespace \"{}\" violate the new PodSecurity enforce level \"{policy}\"",
        namespace.name()
    );
    warnings.insert(0, head);
    Ok(warnings)
}

/// `a (and 2 other pods): hostPort`
fn who(mut pods: Vec<String>, what: &str) -> String {
    pods.sort();
    let first = pods.first().map(String::as_str).unwrap_or_default();
    match pods.len() {
        0 | 1 => format!("{first}: {what}"),
        2 => format!("{first} (and 1 other pod): {what}"),
        count => format!("{first} (and {} other pods): {what}", count - 1),
    }
}
