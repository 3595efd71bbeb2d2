//! What a case or a table says beside who, whom and on which port.

use std::time::Duration;

use super::{
    ask::{AskNodes, Asked},
    moments::{EstablishedWords, StartupWords, read_established, read_startup, read_timeout},
    node::Node,
    reader::{Fields, Reader, Word},
    scope::Scope,
    types::{Denial, EvidenceRule},
};
use crate::model::Family;

/// What a case or a table may say besides.
#[derive(Default)]
pub(super) struct Options {
    pub(super) within: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) family: Option<Family>,
    pub(super) because: Option<String>,
    pub(super) evidence: EvidenceRule,
    pub(super) denial: Option<Denial>,
    pub(super) reached_by: Option<Word>,
    pub(super) established: Option<EstablishedWords>,
    pub(super) startup: Option<StartupWords>,
    pub(super) asked: Asked,
}

/// The nodes of the options, read once it is known what is expected.
pub(super) struct OptionNodes<'n> {
    within: Option<&'n Node>,
    timeout: Option<&'n Node>,
    family: Option<&'n Node>,
    because: Option<&'n Node>,
    evidence: Option<&'n Node>,
    denial: Option<&'n Node>,
    reached_by: Option<&'n Node>,
    ask: AskNodes<'n>,
    established: Option<&'n Node>,
    startup: Option<&'n Node>,
}

impl<'n> OptionNodes<'n> {
    pub(super) fn of(fields: &mut Fields<'n>) -> Self {
        Self {
            within: fields.optional("within"),
            timeout: fields.optional("timeout"),
            family: fields.optional("family"),
            because: fields.optional("because"),
            evidence: fields.optional("evidence"),
            denial: fields.optional("denial"),
            reached_by: fields.optional("reachedBy"),
            ask: AskNodes::of(fields),
            established: fields.optional("established"),
            startup: fields.optional("startup"),
        }
    }

    pub(super) fn read(self, reader: &mut Reader, scope: &Scope, allows_only: bool) -> Options {
        let families = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
        let rules = [("controls", EvidenceRule::Controls), ("any", EvidenceRule::Any)];
        let denials = [("drop", Denial::Drop), ("reject", Denial::Reject)];
        for (field, node) in [("evidence", self.evidence), ("denial", self.denial)] {
            if let Some(node) = node.filter(|_| allows_only) {
                let message = format!("`{field}` is about denials, and this expects none");
                reader.mistake(&node.span, message);
            }
        }
        let asked = self.ask.read(reader);
        let because = self.because.and_then(|node| reader.text(node, "a text"));
        Options {
            asked,
            established: self.established.and_then(|node| read_established(reader, node)),
            startup: self.startup.and_then(|node| read_startup(reader, scope, node)),
            within: self.within.and_then(|node| reader.duration(node, "within")),
            timeout: self.timeout.and_then(|node| read_timeout(reader, node)),
            family: self.family.and_then(|node| reader.choice(node, "family", &families)),
            because: because.map(|word| word.text.trim_end().to_owned()),
            evidence: self
                .evidence
                .and_then(|node| reader.choice(node, "evidence", &rules))
                .unwrap_or_default(),
            denial: self.denial.and_then(|node| reader.choice(node, "denial", &denials)),
            reached_by: self.reached_by.and_then(|node| {
                let word = reader.text(node, "the name of a pod peer")?;
                scope.check_source(reader, &word).then_some(word)
            }),
        }
    }
}
