//! What the policies say about a connection, and which of their rules say it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{cluster_policy::Action, compile::PolicyId, doubt::Doubt};

/// Which way a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Out of the source.
    Egress,
    /// Into the destination.
    Ingress,
}

impl Direction {
    /// The field of a policy's spec.
    pub fn field(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The field of a rule that holds its peers.
    pub fn peers(self) -> &'static str {
        match self {
            Self::Egress => "to",
            Self::Ingress => "from",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

/// What the policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is let through.
    Allowed,
    /// It is kept out.
    Denied,
    /// Kubernetes doesn't say, or something isn't known.
    Undetermined,
}

impl Outcome {
    /// Both directions have to agree.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Undetermined, _) | (_, Self::Undetermined) => Self::Undetermined,
            (Self::Allowed, Self::Allowed) => Self::Allowed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Undetermined => "undetermined",
        })
    }
}

/// What the policies say about one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Both directions together.
    pub outcome: Outcome,
    /// Whether it may leave the source.
    pub egress: Side,
    /// Whether it may enter the destination.
    pub ingress: Side,
    /// Objects of other kinds that may decide, too; the outcome is undetermined then.
    pub foreign: Vec<String>,
}

/// What the policies say in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Which one.
    pub direction: Direction,
    /// What they say.
    pub outcome: Outcome,
    /// The NetworkPolicies that isolate the pod in this direction.
    pub isolated_by: Vec<PolicyId>,
    /// What decides, in the order in which it is judged.
    pub reasons: Vec<Reason>,
    /// Why it can't be told; empty where it can.
    pub doubts: Vec<Doubt>,
}

/// A step on the way to an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// This end is no pod: policies don't apply to it.
    NoPod,
    /// A pod can always reach itself.
    Itself,
    /// Traffic from a pod's own node is always let in.
    FromOwnNode,
    /// A rule matches.
    Rule(RuleRef),
    /// The pod is isolated, and no rule matches.
    NoRule,
    /// No policy has a say: everything is allowed.
    Default,
}

/// A rule that matched, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyId,
    /// Which of its lists.
    pub direction: Direction,
    /// The index in that list.
    pub rule: u16,
    /// The index of the peer that matched; nothing where any peer does.
    pub peer: Option<u16>,
    /// The index of the port that matched; nothing where any port does.
    pub port: Option<u16>,
    /// What the rule does; Accept for a NetworkPolicy's.
    pub action: Action,
}

impl RuleRef {
    /// The rule's place in YAML: `spec.ingress[0]`.
    pub fn path(&self) -> String {
        format!("spec.{}[{}]", self.direction.field(), self.rule)
    }
}
