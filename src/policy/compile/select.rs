//! Which policies select which pods.

use super::{
    super::intern::{Test, Word},
    Compiled, Form, PolicyId, Scope,
};

impl Compiled {
    /// Finds out for each policy whom it selects. A selector with a plain value looks only
    /// at the pods that have it, so that the work grows with what is selected.
    pub(super) fn select_all(&mut self) {
        let mut postings: Vec<(u32, Word, Word, u32)> = Vec::new();
        for (index, pod) in self.pods.iter().enumerate() {
            let posting = |(key, value): &(Word, Word)| (pod.space, *key, *value, index as u32);
            postings.extend(pod.labels.iter().map(posting));
        }
        postings.sort_unstable();
        for id in self.ids().collect::<Vec<_>>() {
            self.register(id);
            let Some(form) = self.form_of(id) else { continue };
            let plain = form.pods.terms.iter().find_map(|term| match &term.test {
                Test::In(values) => Some((term.key, values)),
                Test::NotIn(_) | Test::Exists | Test::Missing => None,
            });
            let pods: Vec<usize> = match (form.scope, plain) {
                (Scope::Own(space), Some((key, values))) => {
                    let at = |value: Word| {
                        let first = postings.partition_point(|posting| {
                            (posting.0, posting.1, posting.2) < (space, key, value)
                        });
                        postings[first..]
                            .iter()
                            .take_while(move |posting| {
                                (posting.0, posting.1, posting.2) == (space, key, value)
                            })
                            .map(|posting| posting.3 as usize)
                    };
                    let fits = |pod: &usize| form.pods.matches(&self.pods[*pod].labels);
                    values.iter().copied().flat_map(at).filter(fits).collect()
                }
                _ => self.subjects(form),
            };
            for pod in pods {
                self.attach(pod, id);
            }
        }
    }

    /// The pods that a policy selects, by looking at all of its namespaces.
    pub(in super::super) fn subjects(&self, form: &Form) -> Vec<usize> {
        let spaces: Vec<usize> = match form.scope {
            Scope::Nowhere => Vec::new(),
            Scope::Own(space) => vec![space as usize],
            Scope::Set(set) => self.space_sets[set as usize].1.iter().collect(),
        };
        let pods = spaces.into_iter().flat_map(|space| self.namespaces[space].pods.clone());
        pods.filter(|pod| self.is_subject(form, *pod)).collect()
    }

    /// True where a policy selects a pod. Pods on their node's network are never subjects
    /// of a cluster's policy; for a NetworkPolicy that is up to the implementation.
    pub(in super::super) fn is_subject(&self, form: &Form, pod: usize) -> bool {
        let pod = &self.pods[pod];
        self.in_scope(form.scope, pod.space)
            && !(form.rank.is_some() && pod.host)
            && form.pods.matches(&pod.labels)
    }

    pub(in super::super) fn register(&mut self, id: PolicyId) {
        let Some(form) = self.form_of(id) else { return };
        match (form.rank, form.scope) {
            (Some(_), _) => self.of_cluster.push(id),
            (None, Scope::Own(space)) => self.of_space[space as usize].push(id),
            (None, _) => {}
        }
    }

    /// Notes that a policy selects a pod.
    pub(in super::super) fn attach(&mut self, pod: usize, id: PolicyId) {
        let Some(form) = self.form_of(id) else { return };
        match form.rank {
            None => {
                let list = &mut self.selecting[pod];
                let at = list.partition_point(|other| *other < id);
                list.insert(at, id);
            }
            Some(rank) => {
                let place = |other: &PolicyId| {
                    let other_rank = self.form_of(*other).and_then(|form| form.rank);
                    (other_rank, *other) < (Some(rank), id)
                };
                let at = self.judging[pod].partition_point(place);
                self.judging[pod].insert(at, id);
            }
        }
    }

    /// Forgets that a policy selects a pod.
    pub(in super::super) fn detach(&mut self, pod: usize, id: PolicyId) {
        self.selecting[pod].retain(|other| *other != id);
        self.judging[pod].retain(|other| *other != id);
    }
}
