//! The policies that isolate the canaries.

use std::{collections::BTreeSet, time::Instant};

use k8s_openapi::{
    api::networking::v1::{NetworkPolicy, NetworkPolicySpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, api::DeleteParams};

use super::{Cluster, Error, ErrorKind, RunContext, marks, run_context};
use crate::{
    event::Direction,
    model::Labels,
    plan::{Plan, PlannedPod},
};

impl RunContext {
    /// Creates two NetworkPolicies in the control namespace: one isolates every
    /// canary-ingress pod for ingress, one every canary-egress pod for egress.
    ///
    /// Returns when the server's answer to the later write came.
    ///
    /// # Errors
    /// A policy may not be created, or the planned labels can't tell the canaries from the
    /// witnesses.
    pub async fn create_canary_policies(&self, plan: &Plan) -> Result<Instant, Error> {
        let (one, other) = tokio::join!(
            self.create_canary_policy(plan, Direction::Ingress),
            self.create_canary_policy(plan, Direction::Egress),
        );
        Ok(one?.max(other?))
    }

    /// Deletes both, so that the canaries open again.
    ///
    /// Returns when the server's answer to the later write came.
    ///
    /// # Errors
    /// A policy may not be deleted.
    pub async fn delete_canary_policies(&self, plan: &Plan) -> Result<Instant, Error> {
        let namespace = &plan.control_namespace.name;
        let policies: Api<NetworkPolicy> = Api::namespaced(self.client(), namespace);
        for direction in [Direction::Ingress, Direction::Egress] {
            let name = self.canary_policy(direction);
            let what = format!("delete networkpolicy {namespace}/{name}");
            let settings = DeleteParams::default();
            match Cluster::call(&what, policies.delete(&name, &settings)).await {
                // Gone is what it should be.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                answer => {
                    answer?;
                }
            }
        }
        Ok(Instant::now())
    }

    fn canary_policy(&self, direction: Direction) -> String {
        format!("np-{}-canary-{}", self.run(), direction)
    }

    async fn create_canary_policy(
        &self,
        plan: &Plan,
        direction: Direction,
    ) -> Result<Instant, Error> {
        let namespace = &plan.control_namespace.name;
        let name = self.canary_policy(direction);
        let what = format!("create networkpolicy {namespace}/{name}");
        let selector = selector(plan, direction).ok_or_else(|| {
            let message = "the canaries' labels also select other control pods";
            Error::new(&what, ErrorKind::Invalid, message)
        })?;
        let mut metadata = self.metadata(&name);
        metadata.owner_references = self.owner(namespace).map(|owner| vec![owner]);
        let policy = NetworkPolicy {
            metadata,
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(LabelSelector {
                    match_labels: Some(selector),
                    match_expressions: None,
                }),
                policy_types: Some(vec![match direction {
                    Direction::Ingress => "Ingress".into(),
                    Direction::Egress => "Egress".into(),
                }]),
                ..NetworkPolicySpec::default()
            }),
        };
        let policies: Api<NetworkPolicy> = Api::namespaced(self.client(), namespace);
        let writing = run_context::writing();
        match Cluster::call_again(&what, || policies.create(&writing, &policy)).await {
            // The name holds the run's id: a write of ours was repeated.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            answer => {
                answer?;
            }
        }
        self.made::<NetworkPolicy>(namespace, &name, None);
        Ok(Instant::now())
    }
}

/// The labels that all canaries of a direction and no other control pod have.
fn selector(plan: &Plan, direction: Direction) -> Option<Labels> {
    let canaries: BTreeSet<_> = plan
        .controls
        .values()
        .map(|pods| match direction {
            Direction::Ingress => pods.canary_ingress,
            Direction::Egress => pods.canary_egress,
        })
        .collect();
    let mut isolated = canaries.iter().map(|&index| plan.pod(index));
    let mut selector = isolated.next()?.labels.clone();
    selector.insert(marks::PROBE.to_owned(), String::new());
    for pod in isolated {
        selector.retain(|key, value| key == marks::PROBE || pod.labels.get(key) == Some(value));
    }
    let selected = |pod: &PlannedPod| {
        pod.namespace == plan.control_namespace.name
            && selector
                .iter()
                .all(|(key, value)| key == marks::PROBE || pod.labels.get(key) == Some(value))
    };
    let others = plan
        .pods
        .iter()
        .enumerate()
        .any(|(index, pod)| !canaries.contains(&crate::plan::PodIndex(index)) && selected(pod));
    (!others).then_some(selector)
}
