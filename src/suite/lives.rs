//! Which pods are there in which step, and with which labels.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    change::{Change, Labelled},
    reader::Reader,
    scope::Scope,
    steps::Draft,
    types::Peer,
};

/// A pod lives once: it can't be created twice, nor deleted before it is there.
pub(super) fn check_lives(reader: &mut Reader, drafts: &[Draft<'_>]) {
    let mut created: BTreeMap<&str, usize> = BTreeMap::new();
    let mut deleted: BTreeMap<&str, usize> = BTreeMap::new();
    for (step, draft) in drafts.iter().enumerate() {
        for change in &draft.changes {
            match change {
                Change::DeletePeer(peer) => {
                    let twice = deleted.insert(peer, step).is_some();
                    if twice {
                        reader.mistake(&draft.span, format!("`{peer}` is deleted twice"));
                    }
                }
                Change::CreatePeer(peer) => {
                    if deleted.contains_key(peer.as_str()) {
                        reader
                            .mistake(&draft.span, format!("`{peer}` was deleted before"))
                            .help("a new pod is a new peer: give it a name of its own");
                    }
                    if created.insert(peer, step).is_some() {
                        reader.mistake(&draft.span, format!("`{peer}` is created twice"));
                    }
                }
                _ => {}
            }
        }
    }
    for (step, draft) in drafts.iter().enumerate() {
        for change in &draft.changes {
            let (Change::Label { of: Labelled::Peer(peer), .. } | Change::DeletePeer(peer)) =
                change
            else {
                continue;
            };
            // Labels are changed before peers are.
            let missing = created.get(peer.as_str()).is_some_and(|&created| created >= step)
                || deleted.get(peer.as_str()).is_some_and(|&deleted| deleted < step);
            if missing {
                let message = format!("`{peer}` isn't there in this step");
                reader
                    .mistake(&draft.span, message)
                    .help("a peer that some step creates is not there before it");
            }
        }
    }
}

/// Which steps a pod peer is there for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    /// The step that creates it; none for a peer that is there from the start.
    pub(super) from: Option<usize>,
    /// The step that deletes it.
    pub(super) until: Option<usize>,
}

impl Life {
    /// Whether the peer is there when the cases of a step are asked; `None` is before all.
    pub(super) fn covers(self, step: Option<usize>) -> bool {
        match step {
            None => self.from.is_none(),
            Some(step) => {
                self.from.is_none_or(|from| from <= step)
                    && self.until.is_none_or(|until| until > step)
            }
        }
    }
}

/// The lives of the peers that some step creates or deletes.
pub(super) fn lives(drafts: &[Draft<'_>]) -> BTreeMap<String, Life> {
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    for (step, draft) in drafts.iter().enumerate() {
        for change in &draft.changes {
            match change {
                Change::CreatePeer(peer) => {
                    lives.entry(peer.clone()).or_default().from = Some(step);
                }
                Change::DeletePeer(peer) => {
                    lives.entry(peer.clone()).or_default().until = Some(step);
                }
                _ => {}
            }
        }
    }
    lives
}

/// Notes a label that a step removes and nobody has set.
pub(super) fn check_removed_labels(reader: &mut Reader, scope: &Scope, drafts: &[Draft<'_>]) {
    let mut worn: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, peer) in scope.peers.iter().flatten() {
        if let Some(Peer::Pod(pod)) = peer {
            worn.insert(name, pod.labels.keys().map(String::as_str).collect());
        }
    }
    for draft in drafts {
        for change in &draft.changes {
            let Change::Label { of: Labelled::Peer(peer), set, remove } = change else { continue };
            let Some(keys) = worn.get_mut(peer.as_str()) else { continue };
            for key in remove.iter().filter(|key| !keys.contains(key.as_str())) {
                let near = super::nearest::nearest(key, keys.iter().copied());
                reader
                    .mistake(&draft.span, format!("`{peer}` has no label `{key}` to remove"))
                    .did_you_mean(near);
            }
            keys.retain(|key| !remove.contains(*key));
            keys.extend(set.keys().map(String::as_str));
        }
    }
}
