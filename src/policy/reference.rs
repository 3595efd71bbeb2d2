//! The same evaluation once more, slow and plain, for tests to compare with.
//!
//! It knows no "perhaps": wherever Kubernetes leaves something open it asks for a choice,
//! and is run again for every combination of choices. What all runs agree on is the
//! outcome. It shares the checked types with the evaluator, and no line of matching.

mod network;

use std::{cell::RefCell, net::IpAddr};

use super::{
    cluster_policy::{Action, ClusterPeer, ClusterPolicy, ClusterRule, Subject, Tier},
    decision::{Direction, Outcome},
    selector::{Requirement, Selector},
    set::{Policy, PolicySet},
};
use crate::model::{End, Family, Labels, Pod, Topology, Traffic};

pub(super) fn decide(policies: &PolicySet, topology: &Topology, traffic: &Traffic) -> Outcome {
    let (from, to) = (topology.resolve(&traffic.from), topology.resolve(&traffic.to));
    let side = |direction, own: &End, other: &End| match own {
        End::Pod(pod) => {
            let side = One {
                policies,
                topology,
                traffic,
                direction,
                own: *pod,
                other,
                choices: Choices::default(),
            };
            side.all_readings()
        }
        End::Address(_) | End::Host(_) => Outcome::Allowed,
    };
    side(Direction::Egress, &from, &to).and(side(Direction::Ingress, &to, &from))
}

/// Choices made so far, and which are still to be tried.
#[derive(Default)]
struct Choices {
    made: RefCell<Vec<(String, bool)>>,
}

impl Choices {
    fn choose(&self, what: String) -> bool {
        let mut made = self.made.borrow_mut();
        if let Some((_, choice)) = made.iter().find(|(key, _)| *key == what) {
            return *choice;
        }
        made.push((what, false));
        false
    }

    /// Goes on to the next combination; false when all have been tried.
    fn next(&self) -> bool {
        let mut made = self.made.borrow_mut();
        while let Some((what, choice)) = made.pop() {
            if !choice {
                made.push((what, true));
                return true;
            }
        }
        false
    }
}

struct One<'a> {
    policies: &'a PolicySet,
    topology: &'a Topology,
    traffic: &'a Traffic,
    direction: Direction,
    own: usize,
    other: &'a End,
    choices: Choices,
}

impl One<'_> {
    fn all_readings(&self) -> Outcome {
        let mut found = Vec::new();
        loop {
            found.push(self.is_allowed());
            if !self.choices.next() {
                break;
            }
        }
        match (found.contains(&true), found.contains(&false)) {
            (true, false) => Outcome::Allowed,
            (false, true) => Outcome::Denied,
            _ => Outcome::Undetermined,
        }
    }

    fn pod(&self) -> &Pod {
        &self.topology.pods()[self.own]
    }

    fn other_pod(&self) -> Option<&Pod> {
        match self.other {
            End::Pod(pod) => Some(&self.topology.pods()[*pod]),
            End::Address(_) | End::Host(_) => None,
        }
    }

    fn is_allowed(&self) -> bool {
        let itself = *self.other == End::Pod(self.own);
        if itself && self.traffic.via.is_none() {
            return true;
        }
        if let End::Address(address) = self.other
            && self.direction == Direction::Ingress
            && self.is_own_node(*address)
        {
            return true;
        }
        if self.direction == Direction::Ingress
            && self.other_pod().is_some_and(|pod| pod.host_network)
            && self.on_own_node("comes in")
            && self.choices.choose("counts as the own node".into())
        {
            return true;
        }
        if let Some(decided) = self.tier(Tier::Admin) {
            return decided;
        }
        if let Some(decided) = self.network(itself) {
            return decided;
        }
        self.tier(Tier::Baseline).unwrap_or(true)
    }

    fn is_own_node(&self, address: IpAddr) -> bool {
        let Some(node) =
            self.topology.nodes().iter().find(|node| node.addresses.contains(&address))
        else {
            return false;
        };
        match &self.pod().node {
            Some(own) => *own == node.name,
            // Only where it matters: an allowed connection is allowed either way.
            None => self.choices.choose("own node".into()),
        }
    }

    fn labels_of(&self, namespace: &str) -> &Labels {
        &self.topology.namespaces()[namespace]
    }

    fn tier(&self, tier: Tier) -> Option<bool> {
        let mut policies: Vec<&ClusterPolicy> = self
            .policies
            .policies
            .iter()
            .filter_map(|policy| match policy {
                Policy::Cluster(policy) if policy.tier == tier => Some(policy),
                _ => None,
            })
            .filter(|policy| !self.pod().host_network && self.is_in(&policy.subject, self.pod()))
            .collect();
        policies.sort_by_key(|policy| policy.priority);
        for group in policies.chunk_by(|a, b| a.priority == b.priority) {
            let verdicts: Vec<Action> =
                group.iter().filter_map(|policy| self.first_match(policy)).collect();
            let Some((last, others)) = verdicts.split_last() else { continue };
            // Any of those that match may be the one that counts.
            let chosen = others
                .iter()
                .enumerate()
                .find(|(index, _)| self.choices.choose(format!("tie {tier} {index}")))
                .map_or(last, |(_, action)| action);
            return match chosen {
                Action::Accept => Some(true),
                Action::Deny => Some(false),
                Action::Pass => None,
            };
        }
        None
    }

    fn is_in(&self, subject: &Subject, pod: &Pod) -> bool {
        selects(&subject.namespaces, self.labels_of(&pod.namespace))
            && selects(&subject.pods, &pod.labels)
    }

    fn first_match(&self, policy: &ClusterPolicy) -> Option<Action> {
        let rules = match self.direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        for (index, rule) in rules.iter().enumerate() {
            if rule.peers.iter().any(|peer| matches!(peer, ClusterPeer::Unknown(_))) {
                if rule.action == Action::Accept {
                    continue;
                }
                return Some(Action::Deny);
            }
            let key = format!("{} {} {index}", policy.kind, policy.name);
            if self.ports_match(rule.ports.as_deref(), true)
                && rule
                    .peers
                    .iter()
                    .enumerate()
                    .any(|(at, peer)| self.cluster_peer_matches(rule, peer, &format!("{key} {at}")))
            {
                return Some(rule.action);
            }
        }
        None
    }

    fn cluster_peer_matches(&self, rule: &ClusterRule, peer: &ClusterPeer, key: &str) -> bool {
        match peer {
            ClusterPeer::Unknown(_) => false,
            ClusterPeer::Pods(subject) => {
                self.other_pod().is_some_and(|pod| !pod.host_network && self.is_in(subject, pod))
            }
            ClusterPeer::Nodes(selector) => {
                let node = match self.other {
                    End::Host(_) => return false,
                    End::Address(address) => {
                        match self
                            .topology
                            .nodes()
                            .iter()
                            .find(|node| node.addresses.contains(address))
                        {
                            Some(node) => Some(node),
                            None => return false,
                        }
                    }
                    End::Pod(pod) => {
                        let pod = &self.topology.pods()[*pod];
                        if !pod.host_network {
                            return false;
                        }
                        let name = pod.node.as_ref();
                        name.and_then(|name| {
                            self.topology.nodes().iter().find(|node| node.name == *name)
                        })
                    }
                };
                match node {
                    Some(node) => selects(selector, &node.labels),
                    None => selector.requirements.is_empty() || self.choices.choose(key.to_owned()),
                }
            }
            ClusterPeer::Networks(networks) => {
                let all = |text: &str| networks.iter().any(|network| network.to_string() == text);
                match self.other_address() {
                    Some(address) => networks.iter().any(|network| network.contains(&address)),
                    None if all("0.0.0.0/0") && all("::/0") => true,
                    None => networks.iter().any(|network| {
                        let family = Family::of(network.addr());
                        let fits = self.traffic.family.is_none_or(|wanted| wanted == family);
                        let sure = self.traffic.family == Some(family) && network.prefix_len() == 0;
                        fits && (sure || self.choices.choose(key.to_owned()))
                    }),
                }
            }
            ClusterPeer::DomainNames(_) if rule.action != Action::Accept => {
                self.choices.choose(key.to_owned())
            }
            ClusterPeer::DomainNames(names) => match self.other {
                End::Pod(_) => {
                    names.iter().any(|name| name.ends_with("cluster.local"))
                        && self.choices.choose(key.to_owned())
                }
                End::Address(_) => self.choices.choose(key.to_owned()),
                End::Host(host) => names.iter().any(|name| match name.strip_prefix("*.") {
                    Some(parent) => host
                        .strip_suffix(parent)
                        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                    None => name == host,
                }),
            },
        }
    }

    /// The address of the other end in the family of the traffic, if it is known.
    fn other_address(&self) -> Option<IpAddr> {
        match self.other {
            End::Address(address) => Some(*address),
            End::Host(_) => None,
            End::Pod(pod) => {
                let mut addresses = self.topology.pods()[*pod].addresses.iter().copied();
                addresses.find(|address| Some(Family::of(*address)) == self.traffic.family)
            }
        }
    }
}

fn selects(selector: &Selector, labels: &Labels) -> bool {
    for requirement in &selector.requirements {
        let holds = match requirement {
            Requirement::In(key, values) => match labels.get(key) {
                Some(value) => values.contains(value),
                None => false,
            },
            Requirement::NotIn(key, values) => match labels.get(key) {
                Some(value) => !values.contains(value),
                None => true,
            },
            Requirement::Exists(key) => labels.get(key).is_some(),
            Requirement::DoesNotExist(key) => labels.get(key).is_none(),
        };
        if !holds {
            return false;
        }
    }
    true
}
