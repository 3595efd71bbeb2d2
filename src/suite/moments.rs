//! Claims about other moments than rest: connections that stood before a change, and the
//! first instants of a pod.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    claims::Pair,
    node::Node,
    reader::{Reader, Word},
    scope::Scope,
    types::{CasePort, Peer},
};
use crate::model::{Connectivity, Protocol};

/// What is to become of a connection that was opened before the step's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Survival {
    /// It can still be used.
    Survives,
    /// It can't.
    Cut,
    /// Either; the report says which.
    Report,
}

/// One end of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaseEnd {
    /// Who dials.
    From,
    /// Who is dialled.
    To,
}

/// What is claimed of the first instants of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Startup {
    /// The end whose pod is made anew.
    pub fresh: CaseEnd,
    /// Denied from its first instant; or let through once its allow rules are in force.
    pub expect: Connectivity,
}

/// What one window may wait: below, loss decides; above, nobody waits for a run.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);

/// Reads `timeout`.
pub(super) fn read_timeout(reader: &mut Reader, node: &Node) -> Option<Duration> {
    let timeout = reader.duration(node, "timeout")?;
    if TIMEOUTS.contains(&timeout) {
        return Some(timeout);
    }
    reader
        .mistake(&node.span, "`timeout` must be from 100ms to 60s")
        .help("it is for how long one dial may stay silent; `within` is for changes to bite");
    None
}

/// `startup` as it is written.
pub(super) struct StartupWords {
    fresh: CaseEnd,
    peer: Word,
    expect: Option<Connectivity>,
}

/// `established`, with its place.
pub(super) struct EstablishedWords {
    survival: Survival,
    word: Word,
}

/// Reads `established`.
pub(super) fn read_established(reader: &mut Reader, node: &Node) -> Option<EstablishedWords> {
    let choices =
        [("survives", Survival::Survives), ("cut", Survival::Cut), ("report", Survival::Report)];
    let survival = reader.choice(node, "established", &choices)?;
    let text = node.raw().unwrap_or_default().to_owned();
    Some(EstablishedWords { survival, word: Word { text, span: node.span.clone() } })
}

/// Reads `startup`.
pub(super) fn read_startup(
    reader: &mut Reader,
    scope: &Scope,
    node: &Node,
) -> Option<StartupWords> {
    let mut fields = reader.fields(node, "`startup`")?;
    let (from, to) = (fields.optional("from"), fields.optional("to"));
    let expect = fields.optional("expect");
    fields.finish(reader, &[]);
    let (fresh, peer) = match (from, to) {
        (Some(from), None) => (CaseEnd::From, from),
        (None, Some(to)) => (CaseEnd::To, to),
        _ => {
            reader
                .mistake(&node.span, "`startup` names one end: `from` or `to`")
                .help("that end's pod is made anew: `startup: {from: web, expect: deny}`");
            return None;
        }
    };
    let choices = [("allow", Connectivity::Allowed), ("deny", Connectivity::Blocked)];
    let claimed = expect.map(|node| reader.choice(node, "expect", &choices));
    let peer = reader.text(peer, "the name of a pod peer")?;
    if !scope.check_pod(reader, &peer) || claimed == Some(None) {
        return None;
    }
    Some(StartupWords { fresh, peer, expect: claimed.flatten() })
}

impl EstablishedWords {
    /// What it says of this pair; a mistake where it can say nothing.
    pub(super) fn of(
        &self,
        reader: &mut Reader,
        scope: &Scope,
        pair: &Pair,
        port: &CasePort,
    ) -> Option<Survival> {
        let span = &self.word.span;
        let Some(step) = scope.step else {
            reader
                .mistake(span, "nothing changes before these cases")
                .help("`established` belongs to a case of a step: the connection stands before the step's changes");
            return None;
        };
        if !matches!(scope.peer(&pair.to), Some(Peer::Pod(_) | Peer::Service(_))) {
            let message = format!("`{}` is none of the run's pods", pair.to);
            let help = "only netproof's own agents answer on a connection again";
            reader.mistake(span, message).help(help);
            return None;
        }
        if !matches!(port.port.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Http) {
            let message = format!("no connection is held over {}", port.port.protocol);
            reader.mistake(span, message).help("tcp, udp and http ports can be");
            return None;
        }
        let before = step.checked_sub(1);
        for name in [&pair.from, &pair.to] {
            if !scope.is_there_in(name, before) {
                let message = format!("`{name}` isn't there before this step");
                reader.mistake(span, message).help("the connection is opened before its changes");
                return None;
            }
        }
        Some(self.survival)
    }
}

impl StartupWords {
    /// What it says of this pair; nothing if the fresh end is another peer of a list.
    pub(super) fn of(&self, pair: &Pair) -> Option<Startup> {
        let end = match self.fresh {
            CaseEnd::From => &pair.from,
            CaseEnd::To => &pair.to,
        };
        let expect = self.expect.unwrap_or(pair.expect);
        (*end == self.peer.text).then_some(Startup { fresh: self.fresh, expect })
    }

    /// Notes that no pair has the fresh end.
    pub(super) fn check(&self, reader: &mut Reader, pairs: &[Pair]) {
        if !pairs.is_empty() && pairs.iter().all(|pair| self.of(pair).is_none()) {
            let (field, peer) = match self.fresh {
                CaseEnd::From => ("from", &self.peer.text),
                CaseEnd::To => ("to", &self.peer.text),
            };
            let message = format!("`{peer}` is no `{field}` of this case");
            reader.mistake(&self.peer.span, message);
        }
    }
}
