//! What of the objects is believed: changes of policy that faults hold back, until they are
//! due.

use std::time::Duration;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use tokio::time::Instant;

use super::{Intake, Key, after, late};
use crate::{
    model::Labels,
    sandbox::{
        api::object::Object,
        fault::NetworkFault as Fault,
        firewall::{self, ClusterNetworkPolicy, Engine},
    },
};

/// A policy of either kind; the keys of those of the cluster have no namespace.
#[derive(Clone, Debug)]
pub(super) enum Policy {
    Network(Box<NetworkPolicy>),
    Cluster(Box<ClusterNetworkPolicy>),
}

/// A change of policy.
#[derive(Debug)]
pub(super) enum Belief {
    /// A pod, by its uid, has other labels.
    Pod(Key, String, Labels),
    /// A namespace has other labels.
    Namespace(String, Labels),
    /// A policy is there, or gone.
    Policy(Key, Option<Policy>),
}

impl Intake {
    pub(super) fn heed_faults(&mut self, engine: &mut Engine, now: Instant) {
        let objects: Vec<_> = self.fault_objects.values().cloned().collect();
        let faults = Fault::among(&objects);
        if faults == self.faults {
            return;
        }
        engine.set_faults(&faults);
        let before = std::mem::replace(&mut self.faults, faults);
        let is_empty_service = |fault: &&Fault| matches!(fault, Fault::EmptyService { .. });
        self.services_changed |=
            before.iter().chain(&self.faults).any(|fault| is_empty_service(&fault));
        let ended = |fault| before.contains(&fault) && !self.faults.contains(&fault);
        let (labels, policies) = (ended(Fault::StaleLabels), ended(Fault::StalePolicies));
        if firewall::late_isolation(&self.faults) == Duration::ZERO {
            self.open.values_mut().for_each(|until| *until = now);
        }
        if firewall::late_allows(&self.faults) == Duration::ZERO {
            self.late.hasten(now);
        }
        // What was overlooked is seen now.
        if labels {
            let pods = self.pods.clone();
            for (key, pod) in pods {
                self.held.push_back((now, Belief::Pod(key, pod.uid().to_owned(), pod.labels())));
            }
            for (name, labels) in self.namespaces.clone() {
                self.held.push_back((now, Belief::Namespace(name, labels)));
            }
        }
        if policies {
            let gone =
                self.believed_policies.keys().filter(|key| !self.policies.contains_key(*key));
            let gone: Vec<_> = gone.cloned().collect();
            self.held.extend(gone.into_iter().map(|key| (now, Belief::Policy(key, None))));
        }
    }

    pub(super) fn believe(&mut self, engine: &mut Engine, now: Instant, belief: Belief) {
        match belief {
            Belief::Pod(key, uid, labels) => match self.believed_pods.get_mut(&key) {
                Some((known, believed)) if *known == uid => {
                    *believed = labels;
                    self.show_pod(engine, &key);
                }
                // It was made anew meanwhile.
                _ => {}
            },
            Belief::Namespace(name, labels) => {
                if let Some(believed) = self.believed_namespaces.get_mut(&name) {
                    believed.clone_from(&labels);
                    engine.set_namespace(&name, Some(labels));
                }
            }
            Belief::Policy(key, Some(policy)) => {
                self.late.forget(&key);
                let late = firewall::late_allows(&self.faults);
                if late == Duration::ZERO {
                    self.put_policy(engine, key, policy);
                } else {
                    let early = late::isolation(&policy, self.believed_policies.get(&key));
                    self.late.hold(key.clone(), after(now, late), policy);
                    self.put_policy(engine, key, early);
                }
            }
            Belief::Policy(key, None) => {
                self.late.forget(&key);
                if key.0.is_empty() {
                    engine.remove_cluster_policy(&key.1);
                } else {
                    engine.remove_policy(&key.0, &key.1);
                }
                self.believed_policies.remove(&key);
            }
        }
    }

    pub(super) fn put_policy(&mut self, engine: &mut Engine, key: Key, policy: Policy) {
        match &policy {
            Policy::Network(policy) => engine.set_policy(policy),
            Policy::Cluster(policy) => engine.set_cluster_policy(policy),
        }
        self.believed_policies.insert(key, policy);
    }
}
