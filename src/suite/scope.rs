//! What the claims of a suite may name: its peers, ports and Services.

use std::collections::BTreeMap;

use super::{
    claims::{no_source, unknown_peer},
    reader::{Reader, Word},
    services::Services,
    source::Span,
    types::{Peer, PodPeer, SetupNamespace},
};
use crate::model::Port;

/// A suite may not claim more than this; nobody would wait for it.
const MOST_CASES: usize = 100_000;

/// What the claims of one suite may name.
pub(super) struct Scope {
    /// None where the suite has no readable `peers` at all. A peer that couldn't be read
    /// is None, so that claims about it aren't mistakes as well.
    pub(super) peers: Option<BTreeMap<String, Option<Peer>>>,
    /// `defaults.ports`.
    pub(super) default_ports: BTreeMap<String, Port>,
    /// `setup.namespaces`.
    pub(super) namespaces: BTreeMap<String, SetupNamespace>,
    /// What `setup.manifests` define; None where they couldn't all be read.
    pub(super) services: Option<Services>,
}

impl Scope {
    /// The peer of that name, if it could be read.
    pub(super) fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.as_ref()?.get(name)?.as_ref()
    }

    /// The pod peer of that name.
    pub(super) fn pod(&self, name: &str) -> Option<&PodPeer> {
        match self.peer(name) {
            Some(Peer::Pod(pod)) => Some(pod),
            _ => None,
        }
    }

    /// The names of all pod peers.
    pub(super) fn pods(&self) -> impl Iterator<Item = &str> {
        let peers = self.peers.iter().flatten();
        peers.filter(|(_, peer)| matches!(peer, Some(Peer::Pod(_)))).map(|(name, _)| name.as_str())
    }

    /// Whether there is a peer of that name; notes a mistake if there is none.
    pub(super) fn check_peer(&self, reader: &mut Reader, word: &Word) -> bool {
        let Some(peers) = &self.peers else { return true };
        let known = peers.contains_key(&word.text);
        if !known {
            unknown_peer(reader, word, peers.keys().map(String::as_str));
        }
        known
    }

    /// Whether there is a pod peer of that name; notes a mistake if there is none.
    pub(super) fn check_source(&self, reader: &mut Reader, word: &Word) -> bool {
        let before = reader.mistakes.len();
        if self.check_peer(reader, word)
            && let Some(peer) = self.peer(&word.text)
        {
            no_source(reader, word, peer);
        }
        reader.mistakes.len() == before
    }

    /// Whether two names stand for one launched pod: one identity, one pod. Ports that
    /// no single pod can listen on make two of it, and so do annotations.
    pub(super) fn same_pod(&self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        let (Some(one), Some(other)) = (self.pod(one), self.pod(other)) else { return false };
        let PodPeer { namespace, labels, service_account, ports, node, annotations } = one;
        *namespace == other.namespace
            && *labels == other.labels
            && *service_account == other.service_account
            && *node == other.node
            && *annotations == other.annotations
            && ports.iter().all(|(name, port)| {
                other.ports.get(name).is_none_or(|theirs| theirs == port)
                    && !other.ports.values().any(|theirs| {
                        theirs.number == port.number
                            && theirs.protocol != port.protocol
                            && theirs.protocol.transport() == port.protocol.transport()
                    })
            })
    }

    /// Whether this many claims are too many; notes a mistake if they are.
    pub(super) fn too_many(&self, reader: &mut Reader, count: usize, span: &Span) -> bool {
        if count > MOST_CASES {
            reader.mistake(span, format!("these are more than {MOST_CASES} cases"));
        }
        count > MOST_CASES
    }
}
