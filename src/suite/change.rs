//! What a step changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde_json::Value;

use super::types::Manifest;
use crate::model::Labels;

/// One change of a step. Namespaces in it are aliases still, as in
/// [`Manifest`].
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Objects to create, or to replace where this run has created them.
    Apply(Manifest),
    /// An object to patch.
    Patch {
        /// Which.
        object: ObjectName,
        /// How.
        patch: PatchBody,
    },
    /// An object to delete.
    Delete(ObjectName),
    /// Labels to set and to remove.
    Label {
        /// Whose.
        of: Labelled,
        /// Labels that it gets.
        set: Labels,
        /// Labels that it loses.
        remove: BTreeSet<String>,
    },
    /// A pod peer whose pod is deleted.
    DeletePeer(String),
    /// A pod peer whose pod is launched only now.
    CreatePeer(String),
    /// Time to let pass, or something to wait for.
    Wait(Wait),
}

/// An object that a step names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// `networking.k8s.io/v1`.
    pub api_version: String,
    /// `NetworkPolicy`.
    pub kind: String,
    /// An alias, or a namespace that exists; none for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// A patch in one of the API server's three languages.
#[derive(Clone, Debug, PartialEq)]
pub enum PatchBody {
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, which merges lists by their keys.
    Strategic(Value),
    /// RFC 6902: a list of operations.
    Json(Value),
}

/// Whose labels a step changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// A pod peer's.
    Peer(String),
    /// A namespace's, by its alias or name.
    Namespace(String),
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// So long.
    Time(Duration),
    /// Until a condition of an object holds.
    Condition {
        /// Whose.
        object: ObjectName,
        /// Its type: `Available`, `Ready`.
        condition: String,
        /// For so long at most; after that the step's changes count as failed.
        timeout: Duration,
    },
}

impl Change {
    /// Whether it concerns the pod of this peer.
    pub fn is_about(&self, peer: &str) -> bool {
        match self {
            Self::Label { of: Labelled::Peer(name), .. }
            | Self::DeletePeer(name)
            | Self::CreatePeer(name) => name == peer,
            _ => false,
        }
    }

    /// Whether it does the same to one peer as another change does to another.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Label { of: Labelled::Peer(_), set, remove },
                Self::Label { of: Labelled::Peer(_), set: other_set, remove: other_remove },
            ) => set == other_set && remove == other_remove,
            (Self::DeletePeer(_), Self::DeletePeer(_))
            | (Self::CreatePeer(_), Self::CreatePeer(_)) => true,
            _ => false,
        }
    }
}

/// Whether all steps treat two peers alike: peers of unlike fates are never one pod.
pub fn same_fate<'a>(
    mut steps: impl Iterator<Item = &'a [Change]>,
    one: &str,
    other: &str,
) -> bool {
    steps.all(|changes| {
        let of = |peer: &str| -> Vec<&Change> {
            changes.iter().filter(|change| change.is_about(peer)).collect()
        };
        let (ones, others) = (of(one), of(other));
        ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| one.is_like(other))
    })
}

/// The labels after a change of them.
pub fn relabelled(
    labels: &Labels,
    set: &BTreeMap<String, String>,
    remove: &BTreeSet<String>,
) -> Labels {
    let mut labels = labels.clone();
    labels.retain(|key, _| !remove.contains(key));
    labels.extend(set.clone());
    labels
}

impl ObjectName {
    /// The name of a namespace as an object.
    pub fn of_namespace(name: &str) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }
}

impl PatchBody {
    /// The patch itself.
    pub fn body(&self) -> &Value {
        match self {
            Self::Merge(body) | Self::Strategic(body) | Self::Json(body) => body,
        }
    }

    /// The same in the same language with another body.
    pub fn with_body(&self, body: Value) -> Self {
        match self {
            Self::Merge(_) => Self::Merge(body),
            Self::Strategic(_) => Self::Strategic(body),
            Self::Json(_) => Self::Json(body),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}
