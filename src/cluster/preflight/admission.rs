//! Admission: one pod of each shape is created, as a dry run.

use std::{collections::BTreeMap, time::Instant};

use futures::{StreamExt, stream};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{Api, api::PostParams};

use super::{
    super::{Cluster, Error, ErrorKind, PodState, RunContext, pod_spec, pod_state, run_context},
    Finding, Guest, PARALLEL, name,
};
use crate::plan::{Plan, PlannedPod};

/// What admission may make a difference by.
type Shape = (Option<String>, bool, Vec<String>, Vec<String>);

pub(super) async fn look(
    context: &RunContext,
    plan: &Plan,
    namespace: &str,
    pods: &[Guest<'_>],
) -> Result<Vec<Finding>, Error> {
    let mut shapes: BTreeMap<Shape, Vec<Guest<'_>>> = BTreeMap::new();
    for guest in pods {
        shapes.entry(shape(guest.1)).or_default().push(*guest);
    }
    let api: Api<Pod> = Api::namespaced(context.client(), namespace);
    let mut tried = stream::iter(shapes.into_values())
        .map(async |alike| {
            let tried = attempt(context, &api, alike[0].1).await;
            (alike, tried)
        })
        .buffer_unordered(PARALLEL);
    let mut findings = Vec::new();
    while let Some((alike, tried)) = tried.next().await {
        match tried {
            Ok(pod) => findings.extend(changed(&pod, &alike)),
            Err(error) if is_made_by_manifest(plan, alike[0].1, &error) => {}
            // No reason to believe that it would refuse the pod itself.
            Err(error) if error.message().contains("does not support dry run") => {
                findings.push(Finding::warn(format!("not tried beforehand: {error}")));
            }
            Err(error) => match error.kind() {
                ErrorKind::Forbidden | ErrorKind::Invalid => {
                    let remedy = error.remedy().unwrap_or_else(|| {
                        "change the peer's labels, ports or service account, or its namespace"
                            .into()
                    });
                    findings.push(Finding::refuse(error.to_string(), remedy));
                }
                ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Conflict => {}
                // A webhook that is down, most likely.
                ErrorKind::Other | ErrorKind::Deadline => {
                    findings.push(Finding::warn(format!("not tried beforehand: {error}")));
                }
                ErrorKind::Unreachable | ErrorKind::Unauthorized => return Err(error),
            },
        }
    }
    Ok(findings)
}

fn shape(pod: &PlannedPod) -> Shape {
    let low = pod.ports.values().any(|port| port.number < 1024);
    let (labels, annotations) = (&pod.labels, &pod.annotations);
    let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect();
    (pod.service_account.clone(), low, keys(labels), keys(annotations))
}

async fn attempt(context: &RunContext, api: &Api<Pod>, planned: &PlannedPod) -> Result<Pod, Error> {
    let guest = pod_spec::Guest {
        run: context.run(),
        agent: context.agent(),
        owner: None,
        gate: !planned.namespace_created,
        startup: None,
    };
    let pod = pod_spec::manifest(planned, guest);
    let parameters = PostParams { dry_run: true, ..run_context::writing() };
    let what = format!("create pod {}/{}", planned.namespace, planned.name);
    Cluster::call(what, api.create(&parameters, &pod)).await
}

/// What webhooks make of the pod. It spoils claims, not the run.
fn changed(pod: &Pod, alike: &[Guest<'_>]) -> Option<Finding> {
    let now = Instant::now();
    let report = pod_state::Report { at: now, known: now, clock: Timestamp::now() };
    let mut planned = alike[0].1.clone();
    // A dry run isn't scheduled.
    planned.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let differences = PodState::seen(pod, None, report).differs_from(&planned);
    (!differences.is_empty()).then(|| {
        Finding::warn(format!(
            "something in the cluster changes probe pods ({}): {}",
            name(alike),
            differences.join("; ")
        ))
        .with_remedy(
            "claims about pods that aren't as planned are Inconclusive; exempt pods with the \
             label netproof.dev/probe from the webhook",
        )
    })
}

/// The service account that is missing comes with the suite's manifests.
fn is_made_by_manifest(plan: &Plan, pod: &PlannedPod, error: &Error) -> bool {
    let Some(account) = &pod.service_account else { return false };
    let is = |object: &serde_json::Value, at: &str, text: &str| {
        object.pointer(at).and_then(|value| value.as_str()) == Some(text)
    };
    error.lacks_service_account()
        && plan.suites.iter().flat_map(|suite| &suite.objects).any(|planned| {
            is(&planned.object, "/kind", "ServiceAccount")
                && is(&planned.object, "/metadata/name", account)
                && is(&planned.object, "/metadata/namespace", &pod.namespace)
        })
}
