//! Policies and a topology, made fast to ask: words are numbers, namespaces' selectors are
//! bit sets, blocks and ports are ranges, and each pod knows which policies select it.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::{
    bits::Bits,
    block,
    cluster_policy::{Action, Tier},
    decision::Direction,
    intern::{Interner, Selection, Words},
    ports::PortMatch,
    set::{Foreign, Policy, PolicySet, Unread},
};
use crate::model::{Family, Topology};

mod forms;
mod select;

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
    pub(super) unread: BTreeSet<Unread>,
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
            unread: policies.unread,
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
}
