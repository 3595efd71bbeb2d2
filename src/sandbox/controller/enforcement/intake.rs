//! From events to what the CNI believes, which a fault may hold back.
//!
//! What is policy (policies, and the labels that they select by) may come late or not at
//! all. What there is (a pod, its address, its end, a new namespace with its labels) comes
//! at once.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use self::{
    belief::{Belief, Policy},
    late::Late,
};
use super::{super::proxy, facts};
use crate::{
    model::Labels,
    sandbox::{
        api::{
            object::Object,
            resource::{
                ENDPOINT_SLICES, EXTERNAL_HOSTS, FAULTS, NAMESPACES, NETWORK_POLICIES, NODES, PODS,
                Resource, SERVICES,
            },
        },
        fault::NetworkFault as Fault,
        firewall::{self, Engine, HostPortEntry},
    },
};

/// Namespace and name.
pub(super) type Key = (String, String);

/// The objects as they are, and what of them is believed.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pods: BTreeMap<Key, Arc<Value>>,
    namespaces: BTreeMap<String, Labels>,
    policies: BTreeMap<Key, Policy>,
    services: BTreeMap<Key, Arc<Value>>,
    slices: BTreeMap<Key, Arc<Value>>,
    fault_objects: BTreeMap<Key, Arc<Value>>,
    pub(super) faults: Vec<Fault>,
    /// The labels that a pod is judged by, with its uid.
    believed_pods: BTreeMap<Key, (String, Labels)>,
    believed_namespaces: BTreeMap<String, Labels>,
    believed_policies: BTreeMap<Key, Policy>,
    /// Changes of policy that are not in force yet, in order.
    held: VecDeque<(Instant, Belief)>,
    /// Pods that are not isolated yet, and until when.
    open: BTreeMap<Key, Instant>,
    /// Policies that isolate by now, and whose rules are to come.
    late: Late,
    services_changed: bool,
    /// Of the pods that have any.
    host_ports: BTreeMap<Key, Vec<HostPortEntry>>,
    host_ports_changed: bool,
}

impl Intake {
    /// Takes in an object as it is now; none when it has gone.
    pub(super) fn take_in(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        (resource, key): (&Resource, Key),
        object: Option<Arc<Value>>,
    ) {
        if *resource == PODS {
            self.pod(engine, now, key, object);
        } else if *resource == NAMESPACES {
            self.namespace(engine, now, key.1, object.map(|object| object.labels()));
        } else if *resource == NETWORK_POLICIES {
            // The API stores none that can't be read so.
            let policy =
                object.and_then(|object| serde_json::from_value(Value::clone(&object)).ok());
            self.policy(now, key, policy.map(Policy::Network));
        } else if facts::is_cluster_policy(resource) {
            // Its schema is an object like others, and may be changed to take anything.
            let policy = object.and_then(|object| {
                let read = serde_json::from_value(Value::clone(&object));
                read.inspect_err(|error| {
                    tracing::warn!(%error, policy = key.1, "read a ClusterNetworkPolicy");
                })
                .ok()
            });
            self.policy(now, key, policy.map(Policy::Cluster));
        } else if *resource == NODES {
            engine.set_node(&key.1, object.map(|node| facts::node(&node)));
        } else if *resource == EXTERNAL_HOSTS {
            engine.set_host(&key.1, object.map(|host| facts::host(&host)));
        } else if *resource == FAULTS {
            put(&mut self.fault_objects, key, object);
        } else if *resource == SERVICES {
            put(&mut self.services, key, object);
            self.services_changed = true;
        } else if *resource == ENDPOINT_SLICES {
            put(&mut self.slices, key, object);
            self.services_changed = true;
        }
    }

    /// Puts in force what is due, and says when the next change is.
    pub(super) fn settle(&mut self, engine: &mut Engine, now: Instant) -> Option<Instant> {
        self.heed_faults(engine, now);
        let delay = firewall::delay(&self.faults);
        // A delay beyond what a clock can count is never over.
        let due = |at: &Instant| at.checked_add(delay);
        while self.held.front().and_then(|(at, _)| due(at)).is_some_and(|due| due <= now) {
            if let Some((_, belief)) = self.held.pop_front() {
                self.believe(engine, now, belief);
            }
        }
        for (key, policy) in self.late.due(now) {
            self.put_policy(engine, key, policy);
        }
        let over: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.open.remove(&key);
            self.show_pod(engine, &key);
        }
        if std::mem::take(&mut self.services_changed) {
            let mut services = proxy::services(self.services.values(), self.slices.values());
            proxy::forget_endpoints(&mut services, &self.faults);
            engine.set_services(services);
        }
        if std::mem::take(&mut self.host_ports_changed) {
            engine.set_host_ports(self.host_ports.values().flatten().cloned().collect());
        }
        let next = self.held.front().and_then(|(at, _)| due(at));
        next.into_iter().chain(self.open.values().copied()).chain(self.late.next()).min()
    }

    fn host_ports(&mut self, key: &Key, pod: Option<&Value>) {
        let ports = pod.map(facts::host_ports).unwrap_or_default();
        if self.host_ports.get(key).map(Vec::as_slice).unwrap_or_default() != ports {
            self.host_ports_changed = true;
            match ports.is_empty() {
                true => _ = self.host_ports.remove(key),
                false => _ = self.host_ports.insert(key.clone(), ports),
            }
        }
    }

    fn pod(&mut self, engine: &mut Engine, now: Instant, key: Key, object: Option<Arc<Value>>) {
        self.host_ports(&key, object.as_deref());
        let Some(pod) = object else {
            self.pods.remove(&key);
            self.believed_pods.remove(&key);
            self.open.remove(&key);
            engine.set_pod(&key.0, &key.1, None, false);
            return;
        };
        let uid = pod.uid().to_owned();
        match self.believed_pods.get(&key) {
            Some((known, labels)) if *known == uid => {
                let seen = self.pods.get(&key).map(|seen| seen.labels());
                if seen.as_ref() != Some(&pod.labels()) && !self.ignores_labels(labels, &pod) {
                    let belief = Belief::Pod(key.clone(), uid, pod.labels());
                    self.held.push_back((now, belief));
                }
            }
            _ => {
                self.believed_pods.insert(key.clone(), (uid, pod.labels()));
                self.open.remove(&key);
            }
        }
        let had_address = self
            .pods
            .get(&key)
            .is_some_and(|old| old.uid() == pod.uid() && !facts::addresses(old).is_empty());
        let late = firewall::late_isolation(&self.faults);
        if !had_address && !facts::addresses(&pod).is_empty() && late > Duration::ZERO {
            self.open.insert(key.clone(), after(now, late));
        }
        self.pods.insert(key.clone(), pod);
        self.show_pod(engine, &key);
    }

    fn ignores_labels(&self, believed: &Labels, pod: &Value) -> bool {
        self.faults.contains(&Fault::StaleLabels) && *believed != pod.labels()
    }

    /// Shows a pod to the engine as it is believed to be.
    fn show_pod(&self, engine: &mut Engine, key: &Key) {
        let Some(pod) = self.pods.get(key) else { return };
        let labels = match self.believed_pods.get(key) {
            Some((_, labels)) => labels.clone(),
            None => pod.labels(),
        };
        let open = self.open.contains_key(key);
        engine.set_pod(&key.0, &key.1, facts::entry(pod, labels), open);
    }

    fn namespace(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        name: String,
        labels: Option<Labels>,
    ) {
        let Some(labels) = labels else {
            self.namespaces.remove(&name);
            self.believed_namespaces.remove(&name);
            engine.set_namespace(&name, None);
            return;
        };
        let old = self.namespaces.insert(name.clone(), labels.clone());
        match old {
            None => {
                self.believed_namespaces.insert(name.clone(), labels.clone());
                engine.set_namespace(&name, Some(labels));
            }
            Some(old) if old == labels => {}
            Some(_) if self.faults.contains(&Fault::StaleLabels) => {}
            Some(_) => self.held.push_back((now, Belief::Namespace(name, labels))),
        }
    }

    fn policy(&mut self, now: Instant, key: Key, policy: Option<Policy>) {
        match &policy {
            Some(policy) => _ = self.policies.insert(key.clone(), policy.clone()),
            None => {
                self.policies.remove(&key);
                if self.faults.contains(&Fault::StalePolicies) {
                    return;
                }
            }
        }
        self.held.push_back((now, Belief::Policy(key, policy)));
    }
}

/// So much later; what a clock can't count is never over.
fn after(now: Instant, late: Duration) -> Instant {
    now.checked_add(late).unwrap_or(now + Duration::from_secs(1 << 32))
}

fn put(map: &mut BTreeMap<Key, Arc<Value>>, key: Key, object: Option<Arc<Value>>) {
    match object {
        Some(object) => _ = map.insert(key, object),
        None => _ = map.remove(&key),
    }
}

mod belief;
mod late;
#[cfg(test)]
mod tests;
