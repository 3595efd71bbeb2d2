//! Why a verdict is what it is: what was meant, what the policies say, and what the wire
//! does, held against each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    judgement::{Judgement, Reason, Verdict},
    observation::{AnsweredBy, Observation},
};
use crate::{
    model::Connectivity,
    policy::{Outcome, Spec},
};

/// What the policies say of a case, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// What follows.
    pub kind: CauseKind,
    /// What the policies say.
    pub spec: Spec,
}

/// What follows from comparing intent, policies and wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CauseKind {
    /// The policies deny it, and it was reached.
    NotEnforced,
    /// It was meant to be denied, and the policies allow it.
    PolicyAllows,
    /// It was meant to be allowed, and the policies deny it.
    PolicyDenies,
    /// The policies allow it, and it is blocked.
    CniBlocks,
    /// It is blocked as it was meant to be, but not by the policies: they allow it.
    BlockedOtherwise,
    /// What the policies say can't be told.
    Undetermined,
}

impl fmt::Display for Cause {
    /// One sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = &self.spec.because;
        match self.kind {
            CauseKind::NotEnforced => {
                write!(f, "the CNI does not enforce: {because}, yet it was reached")?;
            }
            CauseKind::PolicyAllows => write!(f, "your policies allow it: {because}")?,
            CauseKind::PolicyDenies => write!(f, "your policies deny it: {because}")?,
            CauseKind::CniBlocks => write!(f, "the CNI blocks what policy allows: {because}")?,
            CauseKind::BlockedOtherwise => {
                write!(f, "your policies allow it, something else blocks it: {because}")?;
            }
            CauseKind::Undetermined => {
                write!(f, "what the policies say is undetermined: {because}")?;
            }
        }
        match (self.kind, self.spec.nearest.first()) {
            (CauseKind::PolicyAllows | CauseKind::PolicyDenies, Some(nearest)) => {
                write!(f, "; nearest: {nearest}")
            }
            _ => Ok(()),
        }
    }
}

/// What the wire did, as far as a judgement has told a connection from a denial.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Reached,
    /// Something listens there, or stands in front of it and takes every handshake.
    Handshake,
    Blocked,
}

/// The cause of a judgement, where there is one to tell: of a claim that doesn't hold, and
/// of one that holds although the policies say otherwise. It never changes the judgement.
pub fn cause(
    expect: Connectivity,
    judgement: &Judgement,
    seen: Option<&Observation>,
    spec: Spec,
) -> Option<Cause> {
    let wire = wire(expect, judgement, seen)?;
    let kind = match (spec.outcome, wire, expect) {
        // It is said once for all, and a claim that holds needs no more.
        (Outcome::Undetermined, ..) if spec.is_blind() && judgement.verdict == Verdict::Pass => {
            return None;
        }
        (Outcome::Undetermined, ..) => CauseKind::Undetermined,
        (Outcome::Denied, Wire::Reached, _) => CauseKind::NotEnforced,
        (Outcome::Denied, Wire::Handshake, _) => {
            let because =
                format!("they deny it ({}), and a handshake alone may be a proxy's", spec.because);
            let spec = Spec {
                because,
                outcome: Outcome::Undetermined,
                doubts: vec!["handshakeOnly".to_owned()],
                ..spec
            };
            return Some(Cause { kind: CauseKind::Undetermined, spec });
        }
        (Outcome::Denied, Wire::Blocked, Connectivity::Allowed) => CauseKind::PolicyDenies,
        (Outcome::Allowed, Wire::Reached | Wire::Handshake, Connectivity::Blocked) => {
            CauseKind::PolicyAllows
        }
        (Outcome::Allowed, Wire::Blocked, Connectivity::Allowed) => CauseKind::CniBlocks,
        (Outcome::Allowed, Wire::Blocked, Connectivity::Blocked) => CauseKind::BlockedOtherwise,
        // Meant, said and done are one.
        (Outcome::Denied, Wire::Blocked, Connectivity::Blocked)
        | (Outcome::Allowed, Wire::Reached | Wire::Handshake, Connectivity::Allowed) => {
            return None;
        }
    };
    Some(Cause { kind, spec })
}

/// What the wire did. Nothing where the judgement is about something else: a path that is
/// down, somebody else who answered, an agent that is gone.
fn wire(expect: Connectivity, judgement: &Judgement, seen: Option<&Observation>) -> Option<Wire> {
    match &judgement.reason {
        Reason::Answered { .. } | Reason::ForeignAnswered { .. } => Some(Wire::Reached),
        Reason::HandshakeOnly => Some(Wire::Handshake),
        Reason::Connected { .. } => Some(match seen {
            Some(Observation::Connected { by: AnsweredBy::Nobody }) => Wire::Handshake,
            _ => Wire::Reached,
        }),
        Reason::Dropped
        | Reason::Rejected { .. }
        | Reason::CauseUnproven { .. }
        | Reason::Blocked { .. } => Some(Wire::Blocked),
        // At times it did what it must not.
        Reason::Flapping { .. } => Some(match expect {
            Connectivity::Blocked => Wire::Reached,
            Connectivity::Allowed => Wire::Blocked,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
