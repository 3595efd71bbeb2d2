//! Which nodes a pod may run on, and why not on the others.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    cache::{Cache, HostPort, Node},
    quantity::{Amounts, requests},
    term::{PodTerm, Spread, node_fits, tolerates, untolerated},
};
use crate::{model::Labels, sandbox::api::object::Object};

/// A pod that needs a node, read once.
pub(super) struct Wish<'a> {
    pub pod: &'a Value,
    pub labels: Labels,
    pub requests: Amounts,
    ports: Vec<HostPort>,
    near: Vec<PodTerm>,
    far: Vec<PodTerm>,
    pub spreads: Vec<Spread>,
}

/// Why a node doesn't do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub text: String,
    /// Ending other pods would not help.
    pub final_word: bool,
}

fn never(text: &str) -> Reason {
    Reason { text: text.to_owned(), final_word: true }
}

fn now(text: impl Into<String>) -> Reason {
    Reason { text: text.into(), final_word: false }
}

/// How many pods that count stand in each place, by the places' key and value.
type Counts<'a> = HashMap<&'a str, i64>;

/// What has to be counted over all nodes before one of them can be judged.
pub(super) struct Counted<'a> {
    /// For each term that wants other pods near, where they are.
    near: Vec<Counts<'a>>,
    far: Vec<Counts<'a>>,
    /// Key and value of the places that other pods keep this one off.
    kept_off: HashMap<(&'a str, &'a str), i64>,
    /// For each constraint, the places and the smallest count.
    spreads: Vec<(Counts<'a>, i64)>,
}

impl<'a> Wish<'a> {
    pub(super) fn of(pod: &'a Value) -> Self {
        Self {
            pod,
            labels: pod.labels(),
            requests: requests(pod),
            ports: HostPort::of(pod),
            near: PodTerm::required(pod, "podAffinity"),
            far: PodTerm::required(pod, "podAntiAffinity"),
            spreads: Spread::of(pod),
        }
    }

    /// Counts what the terms and constraints of the pod, and of others, are about.
    pub(super) fn count<'c>(&self, cache: &'c Cache) -> Counted<'c> {
        let around = |term: &PodTerm| -> Counts<'c> {
            let mut counts = Counts::new();
            for (_, node) in cache.nodes() {
                let Some(place) = node.labels.get(&term.key) else { continue };
                let pods = node.pods.values();
                let count = pods
                    .filter(|pod| term.matches(&pod.namespace, &pod.labels, &cache.namespaces))
                    .count();
                if count > 0 {
                    *counts.entry(place).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
                }
            }
            counts
        };
        let mut kept_off = HashMap::new();
        if cache.guards > 0 {
            for (_, node) in cache.nodes() {
                for term in node.pods.values().flat_map(|pod| &pod.keeps_off) {
                    if let Some((key, place)) = node.labels.get_key_value(&term.key)
                        && term.matches(self.pod.namespace(), &self.labels, &cache.namespaces)
                    {
                        *kept_off.entry((key.as_str(), place.as_str())).or_default() += 1;
                    }
                }
            }
        }
        Counted {
            near: self.near.iter().map(around).collect(),
            far: self.far.iter().map(around).collect(),
            kept_off,
            spreads: self.spreads.iter().map(|spread| self.spread(spread, cache)).collect(),
        }
    }

    fn spread<'c>(&self, spread: &Spread, cache: &'c Cache) -> (Counts<'c>, i64) {
        let mut counts = Counts::new();
        let hard = self.spreads.iter().filter(|spread| spread.hard);
        let keys: Vec<_> = hard.map(|spread| &spread.key).collect();
        for (_, node) in cache.nodes() {
            let Some(place) = node.labels.get(&spread.key) else { continue };
            let counts_for_none = !keys.iter().all(|key| node.labels.contains_key(*key))
                || (spread.by_affinity && !node_fits(self.pod, &node.object, &node.labels))
                || (spread.by_taints && untolerated(self.pod, &node.object).is_some());
            if counts_for_none {
                continue;
            }
            let pods = node.pods.values().filter(|pod| {
                !pod.deleting
                    && pod.namespace == self.pod.namespace()
                    && spread.matches(&pod.labels)
            });
            *counts.entry(place).or_default() += i64::try_from(pods.count()).unwrap_or(i64::MAX);
        }
        let fewest = counts.values().min().copied().unwrap_or_default();
        let places = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        // With fewer places than asked for, one without pods is thought of.
        let fewest = if places < spread.min_domains { 0 } else { fewest };
        (counts, fewest)
    }

    /// Why a node doesn't do; nothing if it does. The first filter that refuses has the
    /// word, in the order of the real scheduler.
    pub(super) fn refusals(
        &self,
        node: &Node,
        counted: &Counted<'_>,
        cache: &Cache,
    ) -> Vec<Reason> {
        self.by_node(node).map_or_else(|| self.by_pods(node, counted, cache), |reason| vec![reason])
    }

    fn by_node(&self, node: &Node) -> Option<Reason> {
        let object = &node.object;
        let cordoned = serde_json::json!({
            "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule",
        });
        if object["spec"]["unschedulable"] == true
            && !tolerates(self.pod.items("/spec/tolerations"), &cordoned)
        {
            return Some(never("node(s) were unschedulable"));
        }
        if untolerated(self.pod, object).is_some() {
            return Some(never("node(s) had untolerated taint(s)"));
        }
        if !node_fits(self.pod, object, &node.labels) {
            return Some(never("node(s) didn't match Pod's node affinity/selector"));
        }
        let taken = node.pods.values().flat_map(|pod| &pod.ports);
        let mut clashes = taken.filter(|taken| self.ports.iter().any(|port| port.clashes(taken)));
        if clashes.next().is_some() {
            let text = "node(s) didn't have free ports for the requested pod ports";
            return Some(now(text));
        }
        None
    }

    fn by_pods(&self, node: &Node, counted: &Counted<'_>, cache: &Cache) -> Vec<Reason> {
        let mut reasons = self.by_resources(node);
        if reasons.is_empty() {
            reasons.extend(self.by_spread(node, counted));
        }
        if reasons.is_empty() {
            reasons.extend(self.by_neighbours(node, counted, cache));
        }
        reasons
    }

    fn by_resources(&self, node: &Node) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let room = node.allocatable.get("pods").copied();
        let count = i128::try_from(node.pods.len()).unwrap_or(i128::MAX);
        if room.is_some_and(|room| (count + 1) * 1000 > room) {
            reasons.push(now("Too many pods"));
        }
        for (resource, amount) in self.requests.iter().filter(|(_, amount)| **amount > 0) {
            let all = node.allocatable.get(resource).copied().unwrap_or_default();
            let taken = node.requested.get(resource).copied().unwrap_or_default();
            if *amount > all - taken {
                let text = format!("Insufficient {resource}");
                // More than the whole node can't be made free.
                reasons.push(Reason { text, final_word: *amount > all });
            }
        }
        reasons
    }

    fn by_spread(&self, node: &Node, counted: &Counted<'_>) -> Option<Reason> {
        let constraints = self.spreads.iter().zip(&counted.spreads);
        for (spread, (counts, fewest)) in constraints.filter(|(spread, _)| spread.hard) {
            let text = "node(s) didn't match pod topology spread constraints";
            let Some(place) = node.labels.get(&spread.key) else {
                return Some(never(&format!("{text} (missing required label)")));
            };
            let own = i64::from(spread.matches(&self.labels));
            let count = counts.get(place.as_str()).copied().unwrap_or_default();
            if count + own - fewest > spread.max_skew {
                return Some(now(text));
            }
        }
        None
    }

    fn by_neighbours(&self, node: &Node, counted: &Counted<'_>, cache: &Cache) -> Option<Reason> {
        let place = |term: &PodTerm| node.labels.get(&term.key).map(String::as_str);
        let there = |counts: &Counts<'_>, term: &PodTerm| {
            place(term).is_some_and(|place| counts.contains_key(place))
        };
        let satisfied =
            self.near.iter().zip(&counted.near).all(|(term, counts)| there(counts, term));
        // The first of pods that want to be together may go anywhere.
        let first = || {
            counted.near.iter().all(HashMap::is_empty)
                && self.near.iter().all(|term| {
                    place(term).is_some()
                        && term.matches(self.pod.namespace(), &self.labels, &cache.namespaces)
                })
        };
        if !satisfied && !first() {
            return Some(never("node(s) didn't match pod affinity rules"));
        }
        if self.far.iter().zip(&counted.far).any(|(term, counts)| there(counts, term)) {
            return Some(now("node(s) didn't match pod anti-affinity rules"));
        }
        let kept = counted
            .kept_off
            .keys()
            .any(|(key, place)| node.labels.get(*key).is_some_and(|value| value == place));
        kept.then(|| now("node(s) didn't satisfy existing pods anti-affinity rules"))
    }
}

/// What is said about a pod that fits nowhere, in the real scheduler's words.
pub(super) fn message(nodes: usize, refusals: &[Vec<Reason>]) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut histogram = BTreeMap::<&str, usize>::new();
    for reason in refusals.iter().flatten() {
        *histogram.entry(&reason.text).or_default() += 1;
    }
    let mut parts: Vec<_> =
        histogram.into_iter().map(|(text, count)| format!("{count} {text}")).collect();
    parts.sort();
    let (hopeless, others): (Vec<_>, Vec<_>) =
        refusals.iter().partition(|reasons| reasons.iter().any(|reason| reason.final_word));
    let mut preemption = Vec::new();
    if !others.is_empty() {
        preemption.push(format!("{} No preemption victims found for incoming pod", others.len()));
    }
    if !hopeless.is_empty() {
        preemption.push(format!("{} Preemption is not helpful for scheduling", hopeless.len()));
    }
    preemption.sort();
    format!(
        "0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: 0/{nodes} \
         nodes are available: {}.",
        parts.join(", "),
        preemption.join(", "),
    )
}
