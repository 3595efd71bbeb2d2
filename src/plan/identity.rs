//! Identities: what makes two probe pods different to a policy, and where each is placed.
//!
//! One pod per identity serves all peers that share it, because identities are scarce
//! in some CNIs and pods cost time.

use std::collections::BTreeMap;

use super::build::{Inputs, PlanError};
use crate::{
    model::{Labels, Port},
    suite::{Change, Labelled, Peer, PodPeer, Suite, relabelled, same_fate},
};

/// The peers of a suite that one pod stands for.
pub(super) struct Identity<'a> {
    /// The first of the peers; its ports are not all.
    pub(super) peer: &'a PodPeer,
    /// The peers' names, in order.
    pub(super) names: Vec<&'a str>,
    /// The ports of all of them.
    pub(super) ports: BTreeMap<String, Port>,
    /// The node that it is placed on.
    pub(super) node: String,
    /// The labels that it has at one time or another, its first ones first.
    pub(super) worn: Vec<Labels>,
}

/// A suite's identities in the order of their first peers' names.
pub(super) struct Identities<'a> {
    pub(super) all: Vec<Identity<'a>>,
}

impl<'a> Identities<'a> {
    /// Finds and places them: round-robin over the first `max_nodes` nodes, so that all
    /// of these are used; a peer that asks for a node by labels gets the least used one
    /// that fits, and another node only where none of the first fits.
    pub(super) fn find(suite: &'a Suite, inputs: &Inputs) -> Result<Self, PlanError> {
        let mut all: Vec<Identity<'a>> = Vec::new();
        for (name, peer) in &suite.peers {
            let Peer::Pod(peer) = peer else { continue };
            let takes = |identity: &&mut Identity<'_>| {
                let first = identity.names.first().copied().unwrap_or_default();
                identity.takes(peer) && same_fate(suite.changes(), first, name)
            };
            match all.iter_mut().find(takes) {
                Some(identity) => {
                    identity.names.push(name);
                    identity.ports.extend(peer.ports.clone());
                }
                None => all.push(Identity {
                    peer,
                    names: vec![name],
                    ports: peer.ports.clone(),
                    node: String::new(),
                    worn: worn(suite, name, &peer.labels),
                }),
            }
        }
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for identity in &mut all {
            let node = place(suite, identity, inputs, &uses)?;
            *uses.entry(node).or_default() += 1;
            node.clone_into(&mut identity.node);
        }
        Ok(Self { all })
    }

    /// The identity of a peer; `None` where it isn't a pod peer of the suite.
    pub(super) fn of(&self, peer: &str) -> Option<usize> {
        self.all.iter().position(|identity| identity.names.contains(&peer))
    }
}

fn worn(suite: &Suite, peer: &str, labels: &Labels) -> Vec<Labels> {
    let mut worn = vec![labels.clone()];
    for change in suite.changes().flatten() {
        if let Change::Label { of: Labelled::Peer(name), set, remove } = change
            && name == peer
        {
            worn.push(relabelled(worn.last().unwrap_or(labels), set, remove));
        }
    }
    worn
}

impl Identity<'_> {
    fn takes(&self, other: &PodPeer) -> bool {
        let PodPeer { namespace, labels, service_account, ports, node, annotations } = other;
        self.peer.namespace == *namespace
            && self.peer.labels == *labels
            && self.peer.service_account == *service_account
            && self.peer.node == *node
            && self.peer.annotations == *annotations
            && ports.iter().all(|(name, port)| {
                self.ports.get(name).is_none_or(|ours| ours == port)
                    // One socket can't speak two protocols over the same transport.
                    && !self.ports.values().any(|ours| {
                        ours.number == port.number
                            && ours.protocol != port.protocol
                            && ours.protocol.transport() == port.protocol.transport()
                    })
            })
    }
}

fn place<'i>(
    suite: &Suite,
    identity: &Identity<'_>,
    inputs: &'i Inputs,
    uses: &BTreeMap<&str, usize>,
) -> Result<&'i str, PlanError> {
    let wanted = identity.peer.node.as_ref();
    let fits = |labels: &Labels| {
        wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    let (first, others) = inputs.nodes.split_at(inputs.max_nodes.max(1).min(inputs.nodes.len()));
    first
        .iter()
        .filter(|node| fits(&node.labels))
        .min_by_key(|node| uses.get(node.name.as_str()).copied().unwrap_or_default())
        .or_else(|| others.iter().find(|node| fits(&node.labels)))
        .map(|node| node.name.as_str())
        .ok_or_else(|| match wanted {
            Some(labels) if !inputs.nodes.is_empty() => PlanError::NoNodeFits {
                suite: suite.name.clone(),
                peer: identity.names.first().copied().unwrap_or_default().to_owned(),
                labels: labels.clone(),
            },
            _ => PlanError::NoNodes,
        })
}
