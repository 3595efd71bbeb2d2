//! What a case claims, reduced to what the judge needs.

use std::{collections::BTreeSet, sync::Arc};

use super::answer::WantedAnswer;
use crate::{
    model::Connectivity,
    suite::{Denial, EvidenceRule, Survival},
};

/// A case's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Allow or deny.
    pub expect: Connectivity,
    /// Who should answer.
    pub intended: Intended,
    /// What a denial needs to pass.
    pub evidence: EvidenceRule,
    /// Which kind of denial is asked for, if one is.
    pub denial: Option<Denial>,
    /// True where either end is behind a service-mesh proxy, whose handshake proves
    /// nothing about the peer (L38).
    pub meshed: bool,
    /// The answer that an allow asks for, if it does.
    pub answer: Option<WantedAnswer>,
    /// What is to become of the connection, where it is one from before a change.
    pub established: Option<Survival>,
    /// Who else is behind the Service that is dialled, by its EndpointSlices. Which backend
    /// answers is chance: that it was ours in every round proves nothing (L12).
    pub strangers: BTreeSet<String>,
}

/// Who should answer a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intended {
    /// One of these agents, by the identities that they answer with. Many cases mean the same.
    Agents(Arc<BTreeSet<String>>),
    /// A peer that isn't ours: an application's reply, or a handshake, marked as such.
    Foreign,
}
