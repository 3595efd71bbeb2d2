//! Preemption: a pod that fits nowhere may take the place of less important ones.
//!
//! A node comes into question where nothing but pods stands in the way. There all less
//! important pods are thought away; if the pod fits then, as many of them as possible come
//! back, the most important first. The node whose loss weighs least is taken: fewest budgets
//! broken, least important victims, fewest of them, youngest.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Scheduler,
    filter::{Reason, Wish},
};
use crate::sandbox::api::{
    conditions,
    delete::{self, DeleteOptions},
    object::Object,
    resource::{POD_DISRUPTION_BUDGETS, PODS},
    selector::Selector,
    write::Place,
};

/// What a condition of a victim says.
const REASON: &str = "PreemptionByScheduler";
const MESSAGE: &str = "default-scheduler: preempting to accommodate a higher priority pod";

/// How important a pod is.
pub(super) fn priority(pod: &Value) -> i64 {
    pod["spec"]["priority"].as_i64().unwrap_or_default()
}

/// A node and the pods that would have to go.
struct Candidate {
    node: String,
    victims: Vec<Arc<Value>>,
    /// How many of them a budget protects.
    violations: usize,
}

impl Candidate {
    /// What its loss weighs; less is better.
    fn weight(&self) -> impl Ord + use<> {
        let priorities = || self.victims.iter().map(|victim| priority(victim));
        let highest = priorities().max().unwrap_or(i64::MIN);
        // As the real scheduler sums them: each weighs, however low its priority.
        let sum: i128 = priorities().map(|one| i128::from(one) + (1 << 31) + 1).sum();
        let started = self
            .victims
            .iter()
            .filter(|victim| priority(victim) == highest)
            .map(|victim| started(victim).to_owned())
            .min();
        (self.violations, highest, sum, self.victims.len(), Reverse(started))
    }
}

fn started(pod: &Value) -> &str {
    match pod.text("/status/startTime") {
        "" => pod.text("/metadata/creationTimestamp"),
        start => start,
    }
}

impl Scheduler {
    /// Looks for a node where ending less important pods would help, and ends them. Gives
    /// the node.
    pub(super) fn preempt(
        &mut self,
        pod: &Arc<Value>,
        refusals: &[(String, Vec<Reason>)],
    ) -> Option<String> {
        if pod["spec"]["preemptionPolicy"] == "Never" || self.waits_for_victims(pod) {
            return None;
        }
        let helpful =
            refusals.iter().filter(|(_, reasons)| !reasons.iter().any(|reason| reason.final_word));
        let nodes: Vec<String> = helpful.map(|(node, _)| node.clone()).collect();
        let candidates = nodes.into_iter().filter_map(|node| self.candidate(pod, node));
        let candidates: Vec<_> = candidates.collect();
        let best = candidates.into_iter().min_by_key(Candidate::weight)?;
        for victim in &best.victims {
            self.end(pod, victim, &best.node);
        }
        Some(best.node)
    }

    /// Whether pods on the node that was chosen for it are still ending.
    pub(super) fn waits_for_victims(&self, pod: &Value) -> bool {
        let name = (pod.namespace().to_owned(), pod.name().to_owned());
        let chosen = self.nominated.get(&name).and_then(|node| self.cache.nodes.get(node));
        let own = priority(pod);
        chosen.is_some_and(|node| {
            node.pods.values().any(|placed| placed.deleting && placed.priority < own)
        })
    }

    fn candidate(&mut self, pod: &Value, node: String) -> Option<Candidate> {
        let own = priority(pod);
        let placed = &self.cache.nodes.get(&node)?.pods;
        let less: Vec<_> = placed
            .values()
            .filter(|placed| placed.priority < own)
            .map(|placed| (placed.namespace.clone(), placed.name.clone()))
            .collect();
        let mut pods: Vec<Arc<Value>> = less
            .into_iter()
            .filter_map(|(namespace, name)| self.store.get(&PODS, &namespace, &name))
            .collect();
        if pods.is_empty() {
            return None;
        }
        for one in &pods {
            self.cache.remove(one.uid());
        }
        if !self.fits(pod, &node) {
            for one in &pods {
                self.cache.place(one, &node);
            }
            return None;
        }
        // Who came first is more important than others like it.
        pods.sort_by(|a, b| {
            (Reverse(priority(a)), started(a)).cmp(&(Reverse(priority(b)), started(b)))
        });
        let (protected, free) = self.by_budgets(pods);
        let (mut victims, mut violations) = (Vec::new(), 0);
        let turns = protected.into_iter().map(|one| (one, true));
        for (one, is_protected) in turns.chain(free.into_iter().map(|one| (one, false))) {
            self.cache.place(&one, &node);
            if !self.fits(pod, &node) {
                self.cache.remove(one.uid());
                violations += usize::from(is_protected);
                victims.push(one);
            }
        }
        // It was only thought.
        for one in &victims {
            self.cache.place(one, &node);
        }
        (!victims.is_empty()).then_some(Candidate { node, victims, violations })
    }

    /// Whether a pod would fit on a node as the cache has it.
    fn fits(&self, pod: &Value, node: &str) -> bool {
        let wish = Wish::of(pod);
        let counted = wish.count(&self.cache);
        let node = self.cache.nodes.get(node);
        node.is_some_and(|node| wish.refusals(node, &counted, &self.cache).is_empty())
    }

    /// Which of these pods can't all go without breaking a budget, and the others.
    fn by_budgets(&self, pods: Vec<Arc<Value>>) -> (Vec<Arc<Value>>, Vec<Arc<Value>>) {
        let mut left = BTreeMap::<String, i64>::new();
        let (budgets, _) = self.store.list(&POD_DISRUPTION_BUDGETS, None);
        pods.into_iter().partition(|pod| {
            let labels = pod.labels();
            let mut breaks = false;
            for budget in budgets.iter().filter(|one| one.namespace() == pod.namespace()) {
                let selector = budget.pointer("/spec/selector").map(Selector::from_object);
                let selects = selector.is_some_and(|one| one.is_ok_and(|one| one.matches(&labels)));
                let known =
                    budget.pointer("/status/disruptedPods").and_then(|map| map.get(pod.name()));
                if selects && !labels.is_empty() && known.is_none() {
                    let allowed = budget["status"]["disruptionsAllowed"].as_i64();
                    let left = left.entry(budget.uid().to_owned()).or_insert(allowed.unwrap_or(0));
                    *left -= 1;
                    breaks |= *left < 0;
                }
            }
            breaks
        })
    }

    fn end(&self, pod: &Value, victim: &Value, node: &str) {
        let done = self.store.write(|writer| {
            let now = writer.get(&PODS, victim.namespace(), victim.name());
            let Some(now) = now.filter(|now| now.uid() == victim.uid() && !now.is_deleting())
            else {
                return Ok(());
            };
            let mut marked = Value::clone(&now);
            conditions::set(&mut marked, "DisruptionTarget", true, REASON, MESSAGE);
            writer.put(&PODS, marked);
            let place =
                Place { resource: &PODS, namespace: victim.namespace(), name: victim.name() };
            delete::delete_in(writer, place, &DeleteOptions::default()).map(|_| ())
        });
        match done {
            Ok(()) => {
                let text = format!("Preempted by pod {} on node {node}", pod.uid());
                self.events.normal(victim, "Preempted", text);
            }
            Err(failure) => tracing::warn!(%failure, pod = victim.name(), "preempt"),
        }
    }
}
