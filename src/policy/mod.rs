//! The evaluator: what the policies of a cluster mean for a connection.
//!
//! ```text
//! API objects ─ read ─▶ PolicySet ─┐
//!                       Topology ──┴─ Compiled ─▶ decide ─▶ Decision ─▶ sentences
//!                                        └──────▶ matrix ─▶ allowed, denied, undetermined
//! ```
//! Pure. Objects become checked types once; what the API server would refuse is refused
//! here, with the field's path. A corner that Kubernetes leaves to the implementation is
//! never guessed: the outcome is undetermined then, and says why. Nothing of this is
//! shared with the sandbox's firewall: that the two agree is a test.

mod bits;
mod block;
mod change;
mod cluster_policy;
mod compile;
mod decision;
mod doubt;
mod fields;
mod foreign;
mod intern;
mod matrix;
mod miss;
mod names;
mod network_policy;
mod point;
mod ports;
mod read;
#[cfg(test)]
mod reference;
mod selector;
mod sentences;
mod set;
mod spec;
mod subject;
mod tiers;

#[cfg(test)]
mod tests;

pub use block::IpBlock;
pub use cluster_policy::{
    Action, ClusterKind, ClusterPeer, ClusterPolicy, ClusterRule, Subject, Tier,
};
pub use compile::{Compiled, PolicyId};
pub use decision::{Decision, Direction, Outcome, Reason, RuleRef, Side};
pub use doubt::Doubt;
pub use fields::{Mistake, Origin};
pub use foreign::{is_foreign_group, is_foreign_kind, is_read_kind};
pub use matrix::{Matrix, Question};
pub use network_policy::{NetworkPolicy, Peer, Rule};
pub use ports::PortMatch;
pub use selector::{Requirement, Selector};
pub use sentences::Explanation;
pub use set::{Foreign, Policy, PolicySet, Unread};
pub use spec::{Isolation, Spec, SpecRule};

use crate::model::{Topology, Traffic};

/// What the policies say about one connection.
///
/// For one question. For many, keep a [`Compiled`] and ask that.
pub fn decide(policies: &PolicySet, topology: &Topology, traffic: &Traffic) -> Decision {
    Compiled::new(policies.clone(), topology.clone()).decide(traffic)
}
