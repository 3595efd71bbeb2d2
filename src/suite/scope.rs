//! What the claims of a suite may name: its peers, ports and Services.

use std::{collections::BTreeMap, time::Duration};

use super::{
    change::{Change, Labelled, relabelled, same_fate},
    claims::{no_source, unknown_peer},
    lives::Life,
    reader::{Reader, Word},
    services::Services,
    source::Span,
    types::{Peer, PodPeer, SetupNamespace},
};
use crate::model::{Labels, Port};

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
    /// What each step changes.
    pub(super) changes: Vec<Vec<Change>>,
    /// Of the peers that some step creates or deletes.
    pub(super) lives: BTreeMap<String, Life>,
    /// The step whose claims are being read; none before all.
    pub(super) step: Option<usize>,
    /// That step's `within`.
    pub(super) within: Option<Duration>,
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

    /// The names of all pod peers that are there in this step.
    pub(super) fn pods(&self) -> impl Iterator<Item = &str> {
        let peers = self.peers.iter().flatten();
        let pods = peers.filter(|(_, peer)| matches!(peer, Some(Peer::Pod(_))));
        pods.map(|(name, _)| name.as_str()).filter(|name| self.is_there(name))
    }

    /// Whether a peer is there in this step.
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.is_there_in(name, self.step)
    }

    /// Whether a peer is there in a step; none is before all.
    pub(super) fn is_there_in(&self, name: &str, step: Option<usize>) -> bool {
        self.lives.get(name).copied().unwrap_or_default().covers(step)
    }

    /// The labels that a pod peer has by this step.
    pub(super) fn labels(&self, name: &str) -> Labels {
        let mut labels = self.pod(name).map(|pod| pod.labels.clone()).unwrap_or_default();
        let so_far = self.step.map_or(0, |step| step + 1).min(self.changes.len());
        for change in self.changes[..so_far].iter().flatten() {
            if let Change::Label { of: Labelled::Peer(peer), set, remove } = change
                && peer == name
            {
                labels = relabelled(&labels, set, remove);
            }
        }
        labels
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

    /// Whether there is a pod peer of that name, as which it need not dial; notes a mistake.
    pub(super) fn check_pod(&self, reader: &mut Reader, word: &Word) -> bool {
        if !self.check_peer(reader, word) {
            return false;
        }
        let is_pod = self.peer(&word.text).is_none_or(|peer| matches!(peer, Peer::Pod(_)));
        if !is_pod {
            reader.mistake(&word.span, format!("`{}` is no pod peer", word.text));
        }
        is_pod
    }

    /// Whether two names stand for one launched pod: one identity, one pod. Ports that
    /// no single pod can listen on make two of it, and so do annotations.
    pub(super) fn same_pod(&self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        let (one_name, other_name) = (one, other);
        let (Some(one), Some(other)) = (self.pod(one), self.pod(other)) else { return false };
        if !same_fate(self.changes.iter().map(Vec::as_slice), one_name, other_name) {
            return false;
        }
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
