//! One connection: what the policies say, and why.
//!
//! Where Kubernetes leaves something open, every reading is followed, and what can come
//! out is a set. The outcome is told only where all readings agree.

use std::net::IpAddr;

use super::{
    cluster_policy::Tier,
    compile::{Compiled, PolicyId},
    decision::{Decision, Direction, Outcome, Reason, Side},
    doubt::Doubt,
    set::Unread,
};
use crate::model::{End, Family, Topology, Traffic};

mod hits;
mod possible;
mod stages;

use possible::Possible;
/// The other end, as one pod's policies see it.
#[derive(Clone, Copy, Debug)]
enum Other<'a> {
    Pod(usize),
    Address(IpAddr),
    Host(&'a str),
}

/// One direction of one connection.
struct View<'a> {
    all: &'a Compiled,
    traffic: &'a Traffic,
    family: Option<Family>,
    direction: Direction,
    pod: usize,
    other: Other<'a>,
    found: Findings,
}

/// What was met on the way.
#[derive(Default)]
struct Findings {
    isolated_by: Vec<PolicyId>,
    reasons: Vec<Reason>,
    doubts: Vec<Doubt>,
}

impl Findings {
    fn doubt(&mut self, doubt: Doubt) {
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

impl Compiled {
    /// What the policies say about a connection.
    pub fn decide(&self, traffic: &Traffic) -> Decision {
        let topology = &self.topology;
        let known = |end: &End| match topology.resolve(end) {
            End::Pod(pod) if pod >= self.pods.len() => End::Host(format!("pod #{pod}")),
            end => end,
        };
        let (from, to) = (known(&traffic.from), known(&traffic.to));
        let family = traffic.family.or_else(|| family_of(topology, &from, &to));
        let side = |direction, end: &End, other: &End| {
            let pod = match end {
                End::Pod(pod) => *pod,
                End::Address(_) | End::Host(_) => {
                    return Side {
                        direction,
                        outcome: Outcome::Allowed,
                        isolated_by: Vec::new(),
                        reasons: vec![Reason::NoPod],
                        doubts: Vec::new(),
                    };
                }
            };
            let other = match other {
                End::Pod(pod) => Other::Pod(*pod),
                End::Address(address) => Other::Address(*address),
                End::Host(name) => Other::Host(name),
            };
            let found = Findings::default();
            View { all: self, traffic, family, direction, pod, other, found }.judge()
        };
        let mut egress = side(Direction::Egress, &from, &to);
        let mut ingress = side(Direction::Ingress, &to, &from);
        self.blur_unread(traffic, (&from, &to), &mut egress, &mut ingress);
        let foreign = self.foreign_to(&[&from, &to]);
        let outcome = if foreign.is_empty() {
            egress.outcome.and(ingress.outcome)
        } else {
            Outcome::Undetermined
        };
        Decision { outcome, egress, ingress, foreign }
    }

    /// What depends on whose an address is can't be told where that may not be read.
    fn blur_unread(
        &self,
        traffic: &Traffic,
        ends: (&End, &End),
        egress: &mut Side,
        ingress: &mut Side,
    ) {
        for unread in &self.unread {
            let doubtful = match (unread, ends) {
                (Unread::Services, (End::Pod(_), End::Address(_))) => {
                    traffic.via.is_none().then_some(&mut *egress)
                }
                (Unread::Pods, (End::Pod(_), End::Address(_))) => Some(&mut *egress),
                (Unread::Pods, (End::Address(_), End::Pod(_))) => Some(&mut *ingress),
                (Unread::Nodes, (End::Pod(pod), End::Address(_))) => {
                    self.is_judged(*pod, egress).then_some(&mut *egress)
                }
                (Unread::Nodes, (End::Address(_), End::Pod(pod))) => {
                    self.is_judged(*pod, ingress).then_some(&mut *ingress)
                }
                _ => None,
            };
            if let Some(side) = doubtful {
                side.outcome = Outcome::Undetermined;
                side.doubts.push(Doubt::Unread(*unread));
            }
        }
    }

    /// True where some policy has a say on a pod in this direction.
    fn is_judged(&self, pod: usize, side: &Side) -> bool {
        let has_rules = |id: &PolicyId| {
            let rules = self.form_of(*id).and_then(|form| form.rules(side.direction));
            rules.is_some_and(|rules| !rules.is_empty())
        };
        !side.isolated_by.is_empty() || self.judging[pod].iter().any(has_rules)
    }

    /// Objects of other kinds of policy that may decide about these ends.
    fn foreign_to(&self, ends: &[&End]) -> Vec<String> {
        if self.foreign.is_empty() {
            return Vec::new();
        }
        let namespaces: Vec<&str> = ends
            .iter()
            .filter_map(|end| match end {
                End::Pod(pod) => self.topology.pods().get(*pod).map(|pod| pod.namespace.as_str()),
                End::Address(_) | End::Host(_) => None,
            })
            .collect();
        let is_near = |namespace: &Option<String>| {
            namespace.as_ref().is_none_or(|namespace| namespaces.contains(&namespace.as_str()))
        };
        let near = self.foreign.iter().filter(|foreign| is_near(&foreign.namespace));
        near.map(ToString::to_string).collect()
    }
}

/// The only family that both ends have, where their addresses are known.
fn family_of(topology: &Topology, from: &End, to: &End) -> Option<Family> {
    let has = |end: &End, family| match end {
        End::Address(address) => Family::of(*address) == family,
        End::Host(_) => true,
        End::Pod(pod) => topology
            .pods()
            .get(*pod)
            .is_none_or(|pod| pod.addresses.is_empty() || pod.address(family).is_some()),
    };
    let both = |family| has(from, family) && has(to, family);
    match (both(Family::Ipv4), both(Family::Ipv6)) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        _ => None,
    }
}

impl View<'_> {
    fn judge(mut self) -> Side {
        let possible = self.stages();
        let outcome = match possible {
            Possible { allow: true, deny: false, .. } => Outcome::Allowed,
            Possible { allow: false, deny: true, .. } => Outcome::Denied,
            _ => Outcome::Undetermined,
        };
        let Findings { isolated_by, reasons, mut doubts } = self.found;
        if outcome != Outcome::Undetermined {
            doubts.clear();
        }
        Side { direction: self.direction, outcome, isolated_by, reasons, doubts }
    }

    fn stages(&mut self) -> Possible {
        let itself = matches!(self.other, Other::Pod(other) if other == self.pod);
        if itself && self.traffic.via.is_none() {
            self.found.reasons.push(Reason::Itself);
            return Possible::ALLOW;
        }
        let from_own_node = self.is_from_own_node();
        if from_own_node == Some(true) {
            self.found.reasons.push(Reason::FromOwnNode);
            return Possible::ALLOW;
        }
        let admin = self.tier(Tier::Admin);
        let possible = admin.then(|| {
            self.network(itself).then(|| {
                self.tier(Tier::Baseline).then(|| {
                    self.found.reasons.push(Reason::Default);
                    Possible::ALLOW
                })
            })
        });
        if possible.deny && from_own_node.is_none() {
            self.found.doubt(Doubt::OwnNode);
            return possible.or(Possible::ALLOW);
        }
        possible
    }

    /// Whether a connection comes in from the pod's own node; unknown where the pod's node
    /// is, or where the other end is a pod that may count as a node.
    fn is_from_own_node(&self) -> Option<bool> {
        if self.direction == Direction::Egress {
            return Some(false);
        }
        match self.other {
            Other::Address(address) => self.is_own_node(address),
            // As its node's address it would be let in.
            Other::Pod(other) if self.all.pods[other].host => {
                self.shares_node(other).filter(|shares| !shares)
            }
            Other::Pod(_) | Other::Host(_) => Some(false),
        }
    }

    /// Whether an address is that of the pod's own node.
    fn is_own_node(&self, address: IpAddr) -> Option<bool> {
        let node = self.all.topology.node_of(address);
        let pod = &self.all.topology.pods()[self.pod];
        match (node, &pod.node) {
            (None, _) => Some(false),
            (Some(node), Some(own)) => Some(node.name == *own),
            (Some(_), None) => None,
        }
    }

    /// Whether a pod on its node's network is on this pod's own node.
    fn shares_node(&self, other: usize) -> Option<bool> {
        let pods = self.all.topology.pods();
        match (&pods[self.pod].node, &pods[other].node) {
            (Some(own), Some(other)) => Some(own == other),
            _ => None,
        }
    }
}
