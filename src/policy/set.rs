//! All policies of a cluster.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{cluster_policy::ClusterPolicy, network_policy::NetworkPolicy};

/// The policies that were read, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// All of them.
    pub policies: Vec<Policy>,
    /// Objects of other kinds that may decide, too: with them, outcomes are undetermined.
    pub foreign: Vec<Foreign>,
    /// What of the cluster may not be read: what depends on it is undetermined.
    pub unread: BTreeSet<Unread>,
}

/// Something of a cluster that isn't known, and that an address may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unread {
    /// Nodes: an address may be one's.
    Nodes,
    /// Services: an address may be one's, and another is met behind it.
    Services,
    /// Pods of other namespaces: an address may be one's.
    Pods,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodes => "nodes",
            Self::Services => "Services",
            Self::Pods => "pods of other namespaces",
        })
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A NetworkPolicy.
    Network(NetworkPolicy),
    /// A ClusterNetworkPolicy, or one of its older forms.
    Cluster(ClusterPolicy),
}

/// An object of a kind of policy that the evaluator doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Foreign {
    /// `CiliumNetworkPolicy` …
    pub kind: String,
    /// Its namespace; nothing where it is of the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Policy {
    /// Its kind, as the API calls it.
    pub fn kind(&self) -> String {
        match self {
            Self::Network(_) => "NetworkPolicy".to_owned(),
            Self::Cluster(policy) => policy.kind.to_string(),
        }
    }

    /// Its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Network(policy) => Some(&policy.namespace),
            Self::Cluster(_) => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Network(policy) => &policy.name,
            Self::Cluster(policy) => &policy.name,
        }
    }

    /// The order in which policies are listed; what decides doesn't depend on it.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }

    fn place(&self) -> (Option<String>, String, String) {
        (self.namespace().map(str::to_owned), self.kind(), self.name().to_owned())
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            Some(namespace) => write!(f, "{namespace}/{}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl PolicySet {
    /// The objects of other kinds, for a sentence: each kind with the first of them.
    pub fn foreign_in_words(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for foreign in &self.foreign {
            let name = match &foreign.namespace {
                Some(namespace) => format!("{namespace}/{}", foreign.name),
                None => foreign.name.clone(),
            };
            kinds.entry(&foreign.kind).or_default().push(name);
        }
        let kinds = kinds.into_iter().map(|(kind, names)| {
            let more = match names.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown: Vec<String> = names.into_iter().take(SHOWN).collect();
            format!("{kind} {}{more}", shown.join(", "))
        });
        let words: Vec<String> = kinds.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Puts policies in order.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut set = Self { policies: policies.into_iter().collect(), ..Self::default() };
        set.policies.sort_by_cached_key(Policy::place);
        set
    }
}
