//! Probes that must succeed for another observation to mean anything.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::judgement::Reason;

/// What a control proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ControlKind {
    /// The source's pod path: its ContainersReady held through the window.
    SourcePodPath,
    /// The destination's pod path.
    DestinationPodPath,
    /// Something got through over the same pair of nodes, family and transport in the
    /// same round.
    NodePath,
    /// The destination answers from inside its own pod, before and after the window.
    Listener,
    /// A witness on the source's node is answered through the Service's address by one
    /// of its backends.
    ServicePath,
    /// The same dial from another pod reaches the foreign address.
    ReachedBy,
    /// On the nodes of both ends, isolation was seen to bite.
    Canary,
}

impl ControlKind {
    /// True for controls whose failure means that the network, and not policy, is down.
    pub fn is_path(self) -> bool {
        matches!(self, Self::SourcePodPath | Self::DestinationPodPath | Self::NodePath)
    }
}

impl fmt::Display for ControlKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourcePodPath => "source's pod path",
            Self::DestinationPodPath => "destination's pod path",
            Self::NodePath => "node path",
            Self::Listener => "listener",
            Self::ServicePath => "service path",
            Self::ReachedBy => "reached by",
            Self::Canary => "canary",
        })
    }
}

/// How a control ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum ControlState {
    /// It succeeded in the same round.
    Up,
    /// It was tried and failed.
    Down {
        /// What was seen, with the object's name.
        detail: String,
    },
    /// It applies, and could not be tried.
    Missing {
        /// Why, with the remedy.
        detail: String,
    },
}

/// The controls that apply to a case, as they ended in one round. Copies share their memory:
/// those of most cases of a run are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Controls(Arc<BTreeMap<ControlKind, ControlState>>);

impl Controls {
    /// Adds one, or puts it in place of what was known of it.
    pub fn insert(&mut self, kind: ControlKind, state: ControlState) {
        Arc::make_mut(&mut self.0).insert(kind, state);
    }

    /// True where none applies.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, in the order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (&ControlKind, &ControlState)> {
        self.0.iter()
    }

    /// The first path control that is down.
    pub fn path_down(&self) -> Option<(ControlKind, &str)> {
        self.first(|kind, state| kind.is_path() && matches!(state, ControlState::Down { .. }))
    }

    /// The first control of any kind that isn't up.
    pub fn not_up(&self) -> Option<(ControlKind, &str)> {
        self.first(|_, state| *state != ControlState::Up)
    }

    /// Why these don't tell by what something was blocked; nothing where all are up.
    pub(super) fn unproven(&self) -> Option<Reason> {
        match self.not_up() {
            Some((control, detail)) => {
                Some(Reason::ControlNotUp { control, detail: detail.to_owned() })
            }
            None => self.is_empty().then_some(Reason::NoControls),
        }
    }

    fn first(
        &self,
        wanted: impl Fn(ControlKind, &ControlState) -> bool,
    ) -> Option<(ControlKind, &str)> {
        self.0.iter().find_map(|(kind, state)| match state {
            ControlState::Down { detail } | ControlState::Missing { detail }
                if wanted(*kind, state) =>
            {
                Some((*kind, detail.as_str()))
            }
            _ => None,
        })
    }
}

impl FromIterator<(ControlKind, ControlState)> for Controls {
    fn from_iter<I: IntoIterator<Item = (ControlKind, ControlState)>>(controls: I) -> Self {
        Self(Arc::new(controls.into_iter().collect()))
    }
}

impl Serialize for Controls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Controls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Arc::new(BTreeMap::deserialize(deserializer)?)))
    }
}
