//! One pod and one direction against all other ends at once.

use super::{
    super::{
        bits::{Bits, Row},
        cluster_policy::{Action, Tier},
        decision::Direction,
    },
    columns::{Columns, RuleColumns},
};
use crate::model::IpProtocol;

/// Judges rows; its space is used again for each.
pub(super) struct Rows<'a> {
    columns: &'a Columns<'a>,
    direction: Direction,
    everybody: Vec<u64>,
    hosts: Vec<u64>,
    /// Other ends that may still be undecided.
    open: Vec<u64>,
    allow: Vec<u64>,
    deny: Vec<u64>,
    certain: Vec<u64>,
    possible: Vec<u64>,
    as_node: Vec<u64>,
    reach: Vec<u64>,
    after: Vec<u64>,
    next: Vec<u64>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(columns: &'a Columns<'a>, direction: Direction, stride: usize) -> Self {
        let row = |bits: &Bits| {
            let mut row = vec![0; stride];
            row.as_mut_slice().add(bits);
            row
        };
        let empty = || vec![0; stride];
        Self {
            columns,
            direction,
            everybody: row(&columns.everybody),
            hosts: row(&columns.hosts),
            open: empty(),
            allow: empty(),
            deny: empty(),
            certain: empty(),
            possible: empty(),
            as_node: empty(),
            reach: empty(),
            after: empty(),
            next: empty(),
        }
    }

    /// Which other ends are surely let through, and which are surely kept out.
    pub(super) fn judge(&mut self, pod: usize, allowed: &mut [u64], denied: &mut [u64]) {
        self.allow.fill(0);
        self.deny.fill(0);
        self.open.copy_from_slice(&self.everybody);
        self.tier(pod, Tier::Admin);
        self.network(pod);
        self.tier(pod, Tier::Baseline);
        for at in 0..self.open.len() {
            self.allow[at] |= self.open[at];
        }
        if self.direction == Direction::Ingress {
            let (sure, unsure) = self.on_own_node(pod);
            self.allow.as_mut_slice().add(unsure);
            self.allow.as_mut_slice().add(sure);
        }
        let (word, bit) = (pod / 64, 1 << (pod % 64));
        self.allow[word] |= bit;
        self.deny[word] &= !bit;
        for at in 0..self.open.len() {
            allowed[at] = self.allow[at] & !self.deny[at];
            denied[at] = self.deny[at] & !self.allow[at];
        }
    }

    fn tier(&mut self, pod: usize, tier: Tier) {
        let all = self.columns.all;
        let ranked: Vec<_> = all.judging[pod]
            .iter()
            .filter_map(|id| {
                let (found, priority) = all.form_of(*id)?.rank?;
                (found == tier).then_some((priority, *id))
            })
            .collect();
        if ranked.is_empty() {
            return;
        }
        self.next.fill(0);
        for group in ranked.chunk_by(|a, b| a.0 == b.0) {
            self.after.copy_from_slice(&self.open);
            for (_, id) in group {
                self.reach.copy_from_slice(&self.open);
                for rule in self.columns.rules(*id, self.direction).unwrap_or_default() {
                    self.ordered_rule(pod, rule);
                }
                for (after, reach) in self.after.iter_mut().zip(&self.reach) {
                    *after &= reach;
                }
            }
            self.open.copy_from_slice(&self.after);
        }
        for (open, next) in self.open.iter_mut().zip(&self.next) {
            *open |= next;
        }
    }

    /// One rule of a cluster policy, for the other ends that may reach it.
    fn ordered_rule(&mut self, pod: usize, rule: &RuleColumns) {
        if !self.matches_ports(pod, rule) {
            return;
        }
        self.certain.fill(0);
        self.possible.fill(0);
        if rule.any {
            self.certain.copy_from_slice(&self.everybody);
        } else {
            self.certain.as_mut_slice().add(&rule.pods);
            self.certain.as_mut_slice().add(&rule.known);
            self.possible.as_mut_slice().add(&rule.perhaps);
        }
        if let (false, Some(named)) = (rule.ports.numeric, &rule.named) {
            keep(&mut self.certain, named);
            keep(&mut self.possible, named);
        }
        let out = match rule.action {
            Action::Accept => &mut self.allow,
            Action::Deny => &mut self.deny,
            Action::Pass => &mut self.next,
        };
        let ends = self.reach.iter_mut().zip(&self.certain).zip(&self.possible);
        for (out, ((reach, certain), possible)) in out.iter_mut().zip(ends) {
            *out |= *reach & (certain | possible);
            *reach &= !certain;
        }
    }

    /// True where a rule's ports match, as far as this end can tell.
    fn matches_ports(&self, pod: usize, rule: &RuleColumns) -> bool {
        rule.ports.numeric
            || match self.direction {
                Direction::Egress => rule.named.is_some(),
                Direction::Ingress => {
                    let question = &self.columns.question;
                    let pod = &self.columns.all.topology.pods()[pod];
                    let fits = |name: &String| {
                        pod.named_port(name, question.protocol) == Some(question.port)
                    };
                    rule.ports.names.iter().any(fits)
                }
            }
    }

    fn network(&mut self, pod: usize) {
        let columns = self.columns;
        let all = columns.all;
        let mut isolated = false;
        for id in &all.selecting[pod] {
            let Some(rules) = columns.rules(*id, self.direction) else { continue };
            if !isolated {
                isolated = true;
                self.certain.fill(0);
                self.possible.fill(0);
                self.as_node.fill(0);
            }
            for rule in rules {
                self.network_rule(pod, rule);
            }
        }
        if !isolated {
            return;
        }
        self.own_node(pod);
        let subject_is_host = all.pods[pod].host;
        let icmp = columns.question.protocol == IpProtocol::Icmp;
        for at in 0..self.open.len() {
            let (open, hosts) = (self.open[at], self.hosts[at]);
            let (certain, possible) = if subject_is_host {
                (self.certain[at], u64::MAX)
            } else {
                let certain = self.certain[at] & (!hosts | self.as_node[at]);
                let possible = self.certain[at] | self.possible[at] | (hosts & self.as_node[at]);
                (certain, possible)
            };
            self.allow[at] |= open & possible;
            self.deny[at] |= open & !certain;
            self.open[at] = if icmp { open & !certain } else { 0 };
        }
    }

    fn network_rule(&mut self, pod: usize, rule: &RuleColumns) {
        let matches = self.matches_ports(pod, rule);
        let numeric = rule.ports.numeric;
        if rule.any {
            // A name is resolved on the destination, if that is a pod.
            let anywhere = numeric || self.direction == Direction::Ingress && matches;
            if anywhere {
                self.certain.copy_from_slice(&self.everybody);
                self.as_node.copy_from_slice(&self.everybody);
            } else if let Some(named) = &rule.named {
                self.certain.as_mut_slice().add(named);
            }
        } else if matches {
            match (&rule.named, numeric) {
                (Some(named), false) => {
                    let bits = rule.pods.and(named);
                    self.certain.as_mut_slice().add(&bits);
                }
                _ => self.certain.as_mut_slice().add(&rule.pods),
            }
        }
        // Beside a block a name has no meaning, whatever it is resolved to.
        if numeric || !rule.ports.names.is_empty() {
            self.possible.as_mut_slice().add(&rule.perhaps);
        }
        if numeric {
            self.as_node.as_mut_slice().add(&rule.known);
        }
    }

    /// Pods on the network of this pod's own node. What comes in from there counts as the
    /// node's where they count as their node, and is let in; what goes out there is let
    /// out by some.
    fn own_node(&mut self, pod: usize) {
        let (sure, unsure) = self.on_own_node(pod);
        self.possible.as_mut_slice().add(unsure);
        match self.direction {
            Direction::Ingress => self.as_node.as_mut_slice().add(sure),
            Direction::Egress => self.possible.as_mut_slice().add(sure),
        }
    }

    /// The pods on the network of this pod's own node, and those that may be.
    fn on_own_node(&self, pod: usize) -> (&'a Bits, &'a Bits) {
        let columns = self.columns;
        match &columns.all.topology.pods()[pod].node {
            Some(node) => {
                let sure = columns.on_node.get(node.as_str());
                (sure.unwrap_or(&columns.nobody), &columns.on_unknown)
            }
            None => (&columns.nobody, &columns.hosts),
        }
    }
}

fn keep(row: &mut [u64], bits: &Bits) {
    let mut kept = vec![0; row.len()];
    kept.as_mut_slice().add_masked(bits, row);
    row.copy_from_slice(&kept);
}
