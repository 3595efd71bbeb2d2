//! Policies and a topology, made fast to ask: words are numbers, namespaces' selectors are
//! bit sets, blocks and ports are ranges, and each pod knows which policies select it.

use std::{collections::HashMap, net::IpAddr};

use super::{
    bits::Bits,
    block,
    cluster_policy::{Action, ClusterPeer, ClusterPolicy, Subject, Tier},
    decision::Direction,
    intern::{Interner, Selection, Test, Word, Words},
    network_policy::{NetworkPolicy, Peer, Rule},
    ports::PortMatch,
    selector::Selector,
    set::{Foreign, Policy, PolicySet},
};
use crate::model::{Family, Topology};

/// A policy's number in a [`Compiled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

/// Policies and a topology, ready to be asked.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(super) topology: Topology,
    pub(super) policies: Vec<Option<Policy>>,
    pub(super) forms: Vec<Option<Form>>,
    pub(super) foreign: Vec<Foreign>,
    pub(super) words: Interner,
    pub(super) namespaces: Vec<Space>,
    pub(super) space_index: HashMap<String, u32>,
    pub(super) pods: Vec<PodForm>,
    pub(super) nodes: Vec<NodeForm>,
    pub(super) node_index: HashMap<String, u32>,
    /// Sets of namespaces, each with the selector that makes it.
    pub(super) space_sets: Vec<(Selection, Bits)>,
    pub(super) space_set_index: HashMap<Selection, u32>,
    /// For each pod, the NetworkPolicies that select it.
    pub(super) selecting: Vec<Vec<PolicyId>>,
    /// For each pod, the cluster's policies that select it, in the order of judgement.
    pub(super) judging: Vec<Vec<PolicyId>>,
    /// The NetworkPolicies of each namespace.
    pub(super) of_space: Vec<Vec<PolicyId>>,
    /// The policies of the whole cluster.
    pub(super) of_cluster: Vec<PolicyId>,
}

/// A namespace.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) labels: Words,
    /// The indices of its pods.
    pub(super) pods: std::ops::Range<usize>,
}

/// A pod.
#[derive(Clone, Debug)]
pub(super) struct PodForm {
    pub(super) space: u32,
    pub(super) host: bool,
    /// Its node, if known: the index, or `None` inside where nobody described that node.
    pub(super) node: Option<Option<u32>>,
    pub(super) labels: Words,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct NodeForm {
    pub(super) labels: Words,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) scope: Scope,
    pub(super) pods: Selection,
    /// The tier and priority of a cluster's policy.
    pub(super) rank: Option<(Tier, u16)>,
    pub(super) ingress: Option<Vec<RuleForm>>,
    pub(super) egress: Option<Vec<RuleForm>>,
}

impl Form {
    pub(super) fn rules(&self, direction: Direction) -> Option<&[RuleForm]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// Namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// None: the policy's namespace has no pods.
    Nowhere,
    /// One.
    Own(u32),
    /// Those of a set.
    Set(u32),
}

#[derive(Clone, Debug)]
pub(super) struct RuleForm {
    pub(super) action: Action,
    pub(super) fails_closed: bool,
    pub(super) peers: Option<Vec<PeerForm>>,
    pub(super) ports: Option<Vec<PortMatch>>,
}

#[derive(Clone, Debug)]
pub(super) enum PeerForm {
    Pods {
        scope: Scope,
        pods: Selection,
    },
    /// A NetworkPolicy's block, which counts for addresses outside the cluster.
    Block(Addresses),
    /// A cluster policy's networks, which count for all addresses.
    Networks(Vec<Addresses>),
    Nodes(Selection),
    Names(Vec<String>),
    Unknown,
}

/// Addresses of one family, as ranges that are in order and apart.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) family: Family,
    ranges: Box<[(u128, u128)]>,
}

impl Addresses {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let number = block::number(address);
        Family::of(address) == self.family && {
            let after = self.ranges.partition_point(|(first, _)| *first <= number);
            after > 0 && number <= self.ranges[after - 1].1
        }
    }

    pub(super) fn ranges(&self) -> &[(u128, u128)] {
        &self.ranges
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// True where the whole family is in it.
    pub(super) fn is_whole(&self) -> bool {
        let last = match self.family {
            Family::Ipv4 => u128::from(u32::MAX),
            Family::Ipv6 => u128::MAX,
        };
        *self.ranges == [(0, last)]
    }
}

impl Compiled {
    /// Compiles. The pods keep the indices that they have in the topology, and the policies
    /// get numbers in the order of the set.
    pub fn new(policies: PolicySet, topology: Topology) -> Self {
        let mut compiled = Self {
            policies: Vec::new(),
            forms: Vec::new(),
            foreign: policies.foreign,
            words: Interner::default(),
            namespaces: Vec::new(),
            space_index: HashMap::new(),
            pods: Vec::with_capacity(topology.pods().len()),
            nodes: Vec::new(),
            node_index: HashMap::new(),
            space_sets: Vec::new(),
            space_set_index: HashMap::new(),
            selecting: vec![Vec::new(); topology.pods().len()],
            judging: vec![Vec::new(); topology.pods().len()],
            of_space: vec![Vec::new(); topology.namespaces().len()],
            of_cluster: Vec::new(),
            topology: Topology::default(),
        };
        compiled.take_topology(topology);
        for policy in policies.policies {
            let form = compiled.form(&policy);
            compiled.policies.push(Some(policy));
            compiled.forms.push(Some(form));
        }
        compiled.select_all();
        compiled
    }

    /// The policy of a number; nothing once it was removed.
    pub fn policy(&self, id: PolicyId) -> Option<&Policy> {
        self.policies.get(id.0 as usize)?.as_ref()
    }

    /// The number of a policy.
    pub fn find(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<PolicyId> {
        let is = |policy: &Policy| {
            policy.name() == name && policy.namespace() == namespace && policy.kind() == kind
        };
        self.ids().find(|id| self.policy(*id).is_some_and(is))
    }

    /// The numbers of all policies.
    pub fn ids(&self) -> impl Iterator<Item = PolicyId> + '_ {
        let ids = (0..).map(PolicyId).zip(&self.policies);
        ids.filter(|(_, policy)| policy.is_some()).map(|(id, _)| id)
    }

    /// What the policies apply to.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The policies that select a pod, whichever way they look.
    pub fn selecting(&self, pod: usize) -> impl Iterator<Item = PolicyId> + '_ {
        let lists = [&self.judging, &self.selecting];
        lists.into_iter().filter_map(move |list| list.get(pod)).flatten().copied()
    }

    pub(super) fn form_of(&self, id: PolicyId) -> Option<&Form> {
        self.forms.get(id.0 as usize)?.as_ref()
    }

    fn take_topology(&mut self, topology: Topology) {
        for (index, node) in topology.nodes().iter().enumerate() {
            self.node_index.insert(node.name.clone(), index as u32);
            let labels = self.words.labels(&node.labels);
            self.nodes.push(NodeForm { labels });
        }
        for (name, labels) in topology.namespaces() {
            self.space_index.insert(name.clone(), self.namespaces.len() as u32);
            let labels = self.words.labels(labels);
            self.namespaces.push(Space { labels, pods: 0..0 });
        }
        for (index, pod) in topology.pods().iter().enumerate() {
            // `Topology::new` lists the namespace of every pod.
            let space = self.space_index.get(&pod.namespace).copied().unwrap_or_default();
            let pods = &mut self.namespaces[space as usize].pods;
            *pods = if pods.end == 0 { index..index + 1 } else { pods.start..index + 1 };
            let node = pod.node.as_ref().map(|node| self.node_index.get(node).copied());
            let labels = self.words.labels(&pod.labels);
            self.pods.push(PodForm { space, host: pod.host_network, node, labels });
        }
        self.topology = topology;
    }

    pub(super) fn form(&mut self, policy: &Policy) -> Form {
        match policy {
            Policy::Network(policy) => self.network_form(policy),
            Policy::Cluster(policy) => self.cluster_form(policy),
        }
    }

    fn network_form(&mut self, policy: &NetworkPolicy) -> Form {
        let space = self.space_index.get(&policy.namespace).copied();
        let scope = space.map_or(Scope::Nowhere, Scope::Own);
        let mut rules = |rules: &Option<Vec<Rule>>| {
            let rules = rules.as_ref()?;
            Some(rules.iter().map(|rule| self.rule_form(rule, scope)).collect())
        };
        let (ingress, egress) = (rules(&policy.ingress), rules(&policy.egress));
        let pods = self.words.selector(&policy.pod_selector);
        Form { scope, pods, rank: None, ingress, egress }
    }

    fn rule_form(&mut self, rule: &Rule, own: Scope) -> RuleForm {
        let mut peer = |peer: &Peer| match peer {
            Peer::Pods { namespaces, pods } => PeerForm::Pods {
                scope: namespaces.as_ref().map_or(own, |selector| self.space_set(selector)),
                pods: pods
                    .as_ref()
                    .map_or_else(Selection::default, |pods| self.words.selector(pods)),
            },
            Peer::Block(block) => PeerForm::Block(Addresses {
                family: Family::of(block.cidr.addr()),
                ranges: block::ranges(block).into(),
            }),
        };
        let peers = rule.peers.as_ref().map(|peers| peers.iter().map(&mut peer).collect());
        RuleForm { action: Action::Accept, fails_closed: false, peers, ports: rule.ports.clone() }
    }

    fn cluster_form(&mut self, policy: &ClusterPolicy) -> Form {
        let (scope, pods) = self.subject_form(&policy.subject);
        let mut rules = |direction| {
            let mut forms = Vec::new();
            for rule in policy.rules(direction) {
                let peers = rule.peers.iter().map(|peer| self.cluster_peer(peer)).collect();
                forms.push(RuleForm {
                    action: rule.action,
                    fails_closed: rule.fails_closed(),
                    peers: Some(peers),
                    ports: rule.ports.clone(),
                });
            }
            Some(forms)
        };
        let (ingress, egress) = (rules(Direction::Ingress), rules(Direction::Egress));
        Form { scope, pods, rank: Some((policy.tier, policy.priority)), ingress, egress }
    }

    fn cluster_peer(&mut self, peer: &ClusterPeer) -> PeerForm {
        match peer {
            ClusterPeer::Pods(subject) => {
                let (scope, pods) = self.subject_form(subject);
                PeerForm::Pods { scope, pods }
            }
            ClusterPeer::Nodes(selector) => PeerForm::Nodes(self.words.selector(selector)),
            ClusterPeer::Networks(networks) => {
                let addresses = |network: &ipnet::IpNet| Addresses {
                    family: Family::of(network.addr()),
                    ranges: Box::new([block::range(network)]),
                };
                PeerForm::Networks(networks.iter().map(addresses).collect())
            }
            ClusterPeer::DomainNames(names) => PeerForm::Names(names.clone()),
            ClusterPeer::Unknown(_) => PeerForm::Unknown,
        }
    }

    fn subject_form(&mut self, subject: &Subject) -> (Scope, Selection) {
        (self.space_set(&subject.namespaces), self.words.selector(&subject.pods))
    }

    /// The set of namespaces that a selector makes; equal selectors share one.
    fn space_set(&mut self, selector: &Selector) -> Scope {
        let selection = self.words.selector(selector);
        if let Some(index) = self.space_set_index.get(&selection) {
            return Scope::Set(*index);
        }
        let selected = |(_, space): &(usize, &Space)| selection.matches(&space.labels);
        let bits =
            Bits::of(self.namespaces.iter().enumerate().filter(selected).map(|(index, _)| index));
        let index = self.space_sets.len() as u32;
        self.space_set_index.insert(selection.clone(), index);
        self.space_sets.push((selection, bits));
        Scope::Set(index)
    }

    pub(super) fn in_scope(&self, scope: Scope, space: u32) -> bool {
        match scope {
            Scope::Nowhere => false,
            Scope::Own(own) => own == space,
            Scope::Set(set) => self.space_sets[set as usize].1.contains(space as usize),
        }
    }

    /// Finds out for each policy whom it selects. A selector with a plain value looks only
    /// at the pods that have it, so that the work grows with what is selected.
    fn select_all(&mut self) {
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
    pub(super) fn subjects(&self, form: &Form) -> Vec<usize> {
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
    pub(super) fn is_subject(&self, form: &Form, pod: usize) -> bool {
        let pod = &self.pods[pod];
        self.in_scope(form.scope, pod.space)
            && !(form.rank.is_some() && pod.host)
            && form.pods.matches(&pod.labels)
    }

    pub(super) fn register(&mut self, id: PolicyId) {
        let Some(form) = self.form_of(id) else { return };
        match (form.rank, form.scope) {
            (Some(_), _) => self.of_cluster.push(id),
            (None, Scope::Own(space)) => self.of_space[space as usize].push(id),
            (None, _) => {}
        }
    }

    /// Notes that a policy selects a pod.
    pub(super) fn attach(&mut self, pod: usize, id: PolicyId) {
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
    pub(super) fn detach(&mut self, pod: usize, id: PolicyId) {
        self.selecting[pod].retain(|other| *other != id);
        self.judging[pod].retain(|other| *other != id);
    }
}
