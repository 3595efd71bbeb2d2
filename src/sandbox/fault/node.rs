//! Faults of nodes.

use std::fmt;

use super::{Family, FaultError, value::text};

/// One way in which a node is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// The node is dead: its pods' processes are gone, its kubelet says nothing.
    Fail(String),
    /// The node's kubelet says nothing and does nothing new; what runs goes on.
    KubeletSilent(String),
}

impl Family for NodeFault {
    const NAMES: &'static [&'static str] = &["fail-node=NODE", "kubelet-silent=NODE"];

    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>> {
        Some(match name {
            "fail-node" => text(value, "node", "fail-node=node-2").map(Self::Fail),
            "kubelet-silent" => {
                text(value, "node", "kubelet-silent=node-2").map(Self::KubeletSilent)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(node) => write!(f, "fail-node={node}"),
            Self::KubeletSilent(node) => write!(f, "kubelet-silent={node}"),
        }
    }
}
