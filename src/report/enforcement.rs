//! What the canaries say: does the CNI enforce?

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::event::{Canary, CanaryState};

/// What the canaries say of the CNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// On some node every canary that was decided stayed open: nothing is enforced there.
    Not {
        /// Those nodes, in order.
        nodes: Vec<String>,
        /// All canaries that stayed open, on these nodes and others.
        open: Vec<Canary>,
    },
    /// Something is enforced on every node, and something isn't on some.
    Partly {
        /// The canaries that stayed open.
        open: Vec<Canary>,
    },
    /// Nothing stayed open, and some canaries were never reached, or were lost for another
    /// reason than policy, so that their being unreachable proves nothing.
    NotProven {
        /// Those canaries.
        unreached: Vec<Canary>,
    },
    /// Every canary was reached and then isolated.
    Proven {
        /// The longest time that isolation took to bite.
        slowest: Duration,
    },
    /// No canary was decided.
    Untested,
}

impl Enforcement {
    /// Sums up what was decided.
    pub fn of(canaries: &[Canary]) -> Self {
        let of = |wanted: fn(&CanaryState) -> bool| -> Vec<Canary> {
            canaries.iter().filter(|canary| wanted(&canary.state)).cloned().collect()
        };
        let open = of(|state| matches!(state, CanaryState::StillOpen { .. }));
        let unreached = of(|state| {
            matches!(state, CanaryState::NeverReached { .. } | CanaryState::Lost { .. })
        });
        let proven = of(|state| matches!(state, CanaryState::Proven { .. }));
        let enforcing: BTreeSet<&str> = proven.iter().map(|canary| canary.node.as_str()).collect();
        let nodes: BTreeSet<&str> = open
            .iter()
            .map(|canary| canary.node.as_str())
            .filter(|node| !enforcing.contains(node))
            .collect();
        if !nodes.is_empty() {
            let nodes = nodes.into_iter().map(str::to_owned).collect();
            Self::Not { nodes, open }
        } else if !open.is_empty() {
            Self::Partly { open }
        } else if !unreached.is_empty() {
            Self::NotProven { unreached }
        } else {
            let latency = |canary: &Canary| match canary.state {
                CanaryState::Proven { latency } => Some(latency),
                _ => None,
            };
            match proven.iter().filter_map(latency).max() {
                Some(slowest) => Self::Proven { slowest },
                None => Self::Untested,
            }
        }
    }
}

/// Canaries for people: `ingress (tcp, udp) and egress (tcp) on node-1, node-2`.
pub(super) fn places(canaries: &[Canary]) -> String {
    // Nodes by what they have in common, which is most often everything.
    let mut by_node: BTreeMap<&str, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for canary in canaries {
        let transport = canary.transport.name().to_ascii_lowercase();
        let way = match canary.family {
            crate::model::Family::Ipv4 => transport,
            crate::model::Family::Ipv6 => format!("{transport} over ipv6"),
        };
        let directions = by_node.entry(&canary.node).or_default();
        directions.entry(canary.direction.to_string()).or_default().insert(way);
    }
    let mut nodes_of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (node, directions) in by_node {
        let what: Vec<String> = directions
            .into_iter()
            // Ingress before egress, as everybody says it.
            .rev()
            .map(|(direction, ways)| {
                format!("{direction} ({})", ways.into_iter().collect::<Vec<_>>().join(", "))
            })
            .collect();
        nodes_of.entry(what.join(" and ")).or_default().push(node);
    }
    let parts = nodes_of.into_iter().map(|(what, nodes)| format!("{what} on {}", nodes.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}
