//! What in the cluster would take a probe pod for one of its own.
//!
//! StatefulSets are not asked: they adopt only pods that are called as their own are. Nor
//! are Deployments, which only ever select ReplicaSets.

use std::{
    collections::BTreeSet,
    fmt::{Debug, Display},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, ReplicaSet},
        batch::v1::Job,
        core::v1::{ReplicationController, Service},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{Cluster, Error, ErrorKind, RunContext},
    Finding, Guest, name,
    selection::{by_map, by_selector},
};
use crate::plan::{Plan, PodIndex};

/// Looks through a namespace that the run didn't make. Returns the pods that a controller
/// would adopt as well.
pub(super) async fn look(
    context: &RunContext,
    namespace: &str,
    pods: &[Guest<'_>],
) -> Result<(Vec<Finding>, BTreeSet<PodIndex>), Error> {
    let (services, replica_sets, replication_controllers, daemon_sets, jobs, budgets) = tokio::join!(
        list::<Service>(context, namespace),
        list::<ReplicaSet>(context, namespace),
        list::<ReplicationController>(context, namespace),
        list::<DaemonSet>(context, namespace),
        list::<Job>(context, namespace),
        list::<PodDisruptionBudget>(context, namespace),
    );
    let mut look = Look::new(pods);
    if let Some(services) = look.seen("services", services)? {
        services.iter().for_each(|service| look.service(service));
    }
    let unseen = [
        look.controllers("replicasets", replica_sets, |one| {
            one.spec.as_ref().map(|spec| spec.selector.clone())
        })?,
        look.controllers("daemonsets", daemon_sets, |one| {
            one.spec.as_ref().map(|spec| spec.selector.clone())
        })?,
        look.controllers("jobs", jobs, |one| one.spec.as_ref()?.selector.clone())?,
        look.controllers("replicationcontrollers", replication_controllers, |one| {
            let map = one.spec.as_ref()?.selector.clone().filter(|map| !map.is_empty())?;
            Some(LabelSelector { match_labels: Some(map), match_expressions: None })
        })?,
    ];
    if unseen.contains(&true) {
        // What can't be seen must be kept off all the same.
        look.adopted.extend(pods.iter().map(|(index, _)| *index));
    }
    if let Some(budgets) = look.seen("poddisruptionbudgets", budgets)? {
        budgets.iter().for_each(|budget| look.budget(budget));
    }
    look.tell_unseen(namespace);
    Ok((look.findings, look.adopted))
}

/// The pods that a controller of the suites' own manifests would adopt.
pub(super) fn with_manifests(plan: &Plan) -> BTreeSet<PodIndex> {
    let mut adopted = BTreeSet::new();
    for object in plan.suites.iter().flat_map(|suite| &suite.objects).map(|one| &one.object) {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let there: Vec<Guest<'_>> = plan
            .pods
            .iter()
            .enumerate()
            .filter(|(_, pod)| text("/metadata/namespace") == Some(&pod.namespace))
            .map(|(index, pod)| (PodIndex(index), pod))
            .collect();
        let selector = object.pointer("/spec/selector").cloned().unwrap_or_default();
        let selected = match text("/kind") {
            Some("ReplicaSet" | "DaemonSet") => serde_json::from_value(selector)
                .map(|selector| by_selector(&selector, &there))
                .unwrap_or_default(),
            Some("Job") if object.pointer("/spec/manualSelector") == Some(&Value::Bool(true)) => {
                serde_json::from_value(selector)
                    .map(|selector| by_selector(&selector, &there))
                    .unwrap_or_default()
            }
            Some("ReplicationController") => serde_json::from_value(selector)
                .map(|selector| by_map(&selector, &there))
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        adopted.extend(selected.into_iter().map(|(index, _)| index));
    }
    adopted
}

struct Look<'a> {
    pods: &'a [Guest<'a>],
    findings: Vec<Finding>,
    adopted: BTreeSet<PodIndex>,
    /// Kinds that may not be listed.
    unseen: BTreeSet<String>,
}

impl<'a> Look<'a> {
    fn new(pods: &'a [Guest<'a>]) -> Self {
        Self { pods, findings: Vec::new(), adopted: BTreeSet::new(), unseen: BTreeSet::new() }
    }

    /// One warning for all kinds that may not be listed.
    fn tell_unseen(&mut self, namespace: &str) {
        if self.unseen.is_empty() {
            return;
        }
        let kinds: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
        let kinds = kinds.join(", ");
        let text = format!(
            "no permission to list {kinds} in namespace {namespace}: whether any of them selects \
             probe pods is not known"
        );
        let remedy = "ask for it, or look yourself that none does";
        self.findings.push(Finding::warn(text).with_remedy(remedy));
    }

    /// What was listed; none where that isn't permitted, which is told.
    fn seen<K>(
        &mut self,
        plural: &str,
        listed: Result<Vec<K>, Error>,
    ) -> Result<Option<Vec<K>>, Error> {
        match listed {
            Ok(objects) => Ok(Some(objects)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Vec::new())),
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                self.unseen.insert(plural.to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn service(&mut self, service: &Service) {
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.clone()).unwrap_or_default();
        let selected = by_map(&selector, self.pods);
        if selected.is_empty() {
            return;
        }
        let (named, pods) = (named("Service", service), name(&selected));
        let publishes = spec.and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
        self.findings.push(if publishes {
            Finding::refuse(
                format!(
                    "{named} would send its clients to probe pods ({pods}): it selects them and \
                     publishes pods that aren't ready"
                ),
                "give the peer labels that it doesn't select, or a namespace of the run's own",
            )
        } else {
            Finding::warn(format!(
                "{named} selects probe pods ({pods}); a readiness gate keeps its traffic off them"
            ))
        });
    }

    /// Notes whom controllers of a kind would adopt; true if they can't be listed.
    fn controllers<K: Resource>(
        &mut self,
        plural: &str,
        listed: Result<Vec<K>, Error>,
        selector: impl Fn(&K) -> Option<LabelSelector>,
    ) -> Result<bool, Error> {
        let Some(controllers) = self.seen(plural, listed)? else { return Ok(true) };
        for selector in controllers.iter().filter_map(selector) {
            let selected = by_selector(&selector, self.pods);
            self.adopted.extend(selected.into_iter().map(|(index, _)| index));
        }
        Ok(false)
    }

    fn budget(&mut self, budget: &PodDisruptionBudget) {
        let Some(selector) = budget.spec.as_ref().and_then(|spec| spec.selector.clone()) else {
            return;
        };
        let selected = by_selector(&selector, self.pods);
        let blocking: Vec<Guest<'_>> =
            selected.iter().copied().filter(|(index, _)| self.adopted.contains(index)).collect();
        let named = named("PodDisruptionBudget", budget);
        if !blocking.is_empty() {
            self.findings.push(
                Finding::warn(format!(
                    "{named} allows no disruption while probe pods ({}) live",
                    name(&blocking)
                ))
                .with_remedy("run while no node is to be drained"),
            );
        } else if !selected.is_empty() {
            self.findings.push(Finding::warn(format!(
                "{named} selects probe pods ({}), and ignores them as unmanaged",
                name(&selected)
            )));
        }
    }
}

fn named(kind: impl Display, object: &impl ResourceExt) -> String {
    format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

async fn list<K>(context: &RunContext, namespace: &str) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let objects: Api<K> = Api::namespaced(context.client(), namespace);
    let what = format!("list {} in namespace {namespace}", K::plural(&()));
    Ok(Cluster::call(what, objects.list(&ListParams::default())).await?.items)
}

#[cfg(test)]
mod tests;
