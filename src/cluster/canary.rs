//! The policies that isolate the control pods: the canaries, to prove that the CNI enforces,
//! and the markers, to tell when changes that were written before have arrived.

use std::{collections::BTreeSet, time::Instant};

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicySpec,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, api::DeleteParams};

use super::{Cluster, Error, ErrorKind, RunContext, marks, run_context};
use crate::{
    model::Labels,
    plan::{ControlPods, Plan, PlannedPod, PodIndex},
};

/// A policy over control pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPolicy {
    /// Isolates every canary-ingress pod for ingress.
    CanaryIngress,
    /// Isolates every canary-egress pod for egress.
    CanaryEgress,
    /// Isolates every marker, both ways.
    Isolation,
    /// Lets the run's pods reach every marker, and be reached by it.
    Admission,
}

impl ControlPolicy {
    fn word(self) -> &'static str {
        match self {
            Self::CanaryIngress => "canary-ingress",
            Self::CanaryEgress => "canary-egress",
            Self::Isolation => "marker",
            Self::Admission => "marker-admission",
        }
    }

    fn of(self, pods: &ControlPods) -> PodIndex {
        match self {
            Self::CanaryIngress => pods.canary_ingress,
            Self::CanaryEgress => pods.canary_egress,
            Self::Isolation | Self::Admission => pods.marker,
        }
    }

    fn spec(self, selected: Labels) -> NetworkPolicySpec {
        let types: &[&str] = match self {
            Self::CanaryIngress => &["Ingress"],
            Self::CanaryEgress => &["Egress"],
            Self::Isolation | Self::Admission => &["Ingress", "Egress"],
        };
        let probes = || {
            let labels = Labels::from([(marks::PROBE.to_owned(), String::new())]);
            let pod_selector = Some(labelled(labels));
            vec![NetworkPolicyPeer { pod_selector, ..NetworkPolicyPeer::default() }]
        };
        let admits = self == Self::Admission;
        NetworkPolicySpec {
            pod_selector: Some(labelled(selected)),
            policy_types: Some(types.iter().map(|&word| word.to_owned()).collect()),
            ingress: admits
                .then(|| vec![NetworkPolicyIngressRule { from: Some(probes()), ports: None }]),
            egress: admits
                .then(|| vec![NetworkPolicyEgressRule { to: Some(probes()), ports: None }]),
        }
    }
}

fn labelled(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

impl RunContext {
    /// Creates NetworkPolicies in the control namespace.
    ///
    /// Returns when the server's answer to the latest write came.
    ///
    /// # Errors
    /// A policy may not be created, or the planned labels can't tell the pods that it is for
    /// from others.
    pub async fn create_control_policies(
        &self,
        plan: &Plan,
        policies: &[ControlPolicy],
    ) -> Result<Instant, Error> {
        let each = policies.iter().map(|policy| self.create_control_policy(plan, *policy));
        futures::future::try_join_all(each).await?;
        Ok(Instant::now())
    }

    /// Deletes them, so that the pods open again.
    ///
    /// Returns when the server's answer to the latest write came.
    ///
    /// # Errors
    /// A policy may not be deleted.
    pub async fn delete_control_policies(
        &self,
        plan: &Plan,
        policies: &[ControlPolicy],
    ) -> Result<Instant, Error> {
        let namespace = &plan.control_namespace.name;
        let api: Api<NetworkPolicy> = Api::namespaced(self.client(), namespace);
        for policy in policies {
            let name = self.control_policy(*policy);
            let what = format!("delete networkpolicy {namespace}/{name}");
            let settings = DeleteParams::default();
            match Cluster::call(&what, api.delete(&name, &settings)).await {
                // Gone is what it should be.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                answer => {
                    answer?;
                }
            }
        }
        Ok(Instant::now())
    }

    fn control_policy(&self, policy: ControlPolicy) -> String {
        format!("np-{}-{}", self.run(), policy.word())
    }

    async fn create_control_policy(
        &self,
        plan: &Plan,
        control: ControlPolicy,
    ) -> Result<(), Error> {
        let namespace = &plan.control_namespace.name;
        let name = self.control_policy(control);
        let what = format!("create networkpolicy {namespace}/{name}");
        let selected = selector(plan, control).ok_or_else(|| {
            let message = "the labels of the pods that it is for also select other control pods";
            Error::new(&what, ErrorKind::Invalid, message)
        })?;
        let mut metadata = self.metadata(&name);
        metadata.owner_references = self.owner(namespace).map(|owner| vec![owner]);
        let policy = NetworkPolicy { metadata, spec: Some(control.spec(selected)) };
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
        Ok(())
    }
}

/// The labels that all pods of a policy and no other control pod have.
fn selector(plan: &Plan, policy: ControlPolicy) -> Option<Labels> {
    let meant: BTreeSet<_> = plan.controls.values().map(|pods| policy.of(pods)).collect();
    let mut isolated = meant.iter().map(|&index| plan.pod(index));
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
        .any(|(index, pod)| !meant.contains(&PodIndex(index)) && selected(pod));
    (!others).then_some(selector)
}
