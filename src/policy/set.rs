//! All policies of a cluster.

use std::{cmp::Ordering, fmt};

use super::{cluster_policy::ClusterPolicy, network_policy::NetworkPolicy};

/// The policies that were read, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// All of them.
    pub policies: Vec<Policy>,
    /// Objects of other kinds that may decide, too: with them, outcomes are undetermined.
    pub foreign: Vec<Foreign>,
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
        let key = |policy: &Self| {
            (policy.namespace().map(str::to_owned), policy.kind(), policy.name().to_owned())
        };
        key(self).cmp(&key(other))
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
    /// Puts policies in order.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut set = Self { policies: policies.into_iter().collect(), foreign: Vec::new() };
        set.policies.sort_by_cached_key(|policy| {
            (policy.namespace().map(str::to_owned), policy.kind(), policy.name().to_owned())
        });
        set
    }
}
