//! One change to policies or labels, without compiling everything again.

use super::{
    compile::{Compiled, PolicyId},
    set::Policy,
};
use crate::model::Labels;

impl Compiled {
    /// Adds a policy, or puts it in the place of one of the same kind and name.
    pub fn put(&mut self, policy: Policy) -> PolicyId {
        let found = self.find(&policy.kind(), policy.namespace(), policy.name());
        let id = match found {
            Some(id) => {
                self.forget(id);
                id
            }
            None => {
                self.policies.push(None);
                self.forms.push(None);
                PolicyId(self.policies.len() as u32 - 1)
            }
        };
        let form = self.form(&policy);
        let subjects = self.subjects(&form);
        self.policies[id.0 as usize] = Some(policy);
        self.forms[id.0 as usize] = Some(form);
        self.register(id);
        for pod in subjects {
            self.attach(pod, id);
        }
        id
    }

    /// Removes a policy; its number isn't used again.
    pub fn remove(&mut self, id: PolicyId) {
        if self.policy(id).is_some() {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: PolicyId) {
        let index = id.0 as usize;
        if let Some(form) = self.forms[index].take() {
            for pod in self.subjects(&form) {
                self.detach(pod, id);
            }
        }
        self.policies[index] = None;
        self.of_cluster.retain(|other| *other != id);
        for list in &mut self.of_space {
            list.retain(|other| *other != id);
        }
    }

    /// Changes a pod's labels.
    pub fn set_pod_labels(&mut self, pod: usize, labels: Labels) {
        if pod >= self.pods.len() {
            return;
        }
        self.pods[pod].labels = self.words.labels(&labels);
        self.topology.set_pod_labels(pod, labels);
        let space = self.pods[pod].space as usize;
        let among = [&self.of_space[space][..], &self.of_cluster].concat();
        self.selecting[pod].clear();
        self.judging[pod].clear();
        self.select_again(pod, &among);
    }

    /// Changes a namespace's labels; its name stays among them.
    pub fn set_namespace_labels(&mut self, namespace: &str, labels: Labels) {
        let Some(index) = self.space_index.get(namespace).map(|index| *index as usize) else {
            return;
        };
        self.topology.set_namespace_labels(namespace, labels);
        let labels = &self.topology.namespaces()[namespace];
        self.namespaces[index].labels = self.words.labels(labels);
        let labels = &self.namespaces[index].labels;
        for (selection, bits) in &mut self.space_sets {
            bits.set(index, selection.matches(labels));
        }
        // NetworkPolicies select by their own namespace, whatever its labels.
        let of_cluster = self.of_cluster.clone();
        for pod in self.namespaces[index].pods.clone() {
            self.judging[pod].clear();
            self.select_again(pod, &of_cluster);
        }
    }

    /// Finds out again which of these policies select a pod.
    fn select_again(&mut self, pod: usize, among: &[PolicyId]) {
        for id in among.iter().copied() {
            if self.form_of(id).is_some_and(|form| self.is_subject(form, pod)) {
                self.attach(pod, id);
            }
        }
    }
}
