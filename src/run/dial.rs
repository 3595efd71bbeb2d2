//! One question to the network, and what came back, in the judge's words.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use netproof_probe::wire::{self, AttemptOutcome, ProbeResult, Question, Resolution, Script};

use crate::{
    cluster::Clock,
    model::{Family, Port, Protocol},
    plan::PodIndex,
    verdict::Observation,
};

/// One question: equal ones are asked once a round and shared by all that need them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dial {
    /// Who dials.
    pub source: PodIndex,
    /// Whom.
    pub whom: Whom,
    /// On which port, and how.
    pub port: Port,
    /// What is said, where the protocol leaves a choice.
    pub script: Arc<Script>,
    /// For how long it may stay silent, where it isn't the usual time.
    pub timeout: Option<Duration>,
    /// True if one of our own agents should answer.
    pub keyed: bool,
}

/// Whom a question is put to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    Address(IpAddr),
    /// A name's addresses of one family.
    Name(String, Family),
}

/// What came of one address.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `None` where it never came to an address.
    pub address: Option<IpAddr>,
    pub observation: Observation,
    /// When the attempt began that shows it.
    pub at: Instant,
}

/// What came of a set of questions.
#[derive(Debug)]
pub(super) struct Dialled {
    pub started: Instant,
    pub ended: Instant,
    pub seen: BTreeMap<Dial, Vec<Seen>>,
}

impl Dialled {
    /// What came of a question; never empty for one that was asked.
    pub fn of(&self, dial: &Dial) -> &[Seen] {
        self.seen.get(dial).map_or(&[], Vec::as_slice)
    }
}

/// More attempts an agent doesn't make.
const MOST_ATTEMPTS: u32 = 100;

/// A connection that is held has no second attempt: the kernel's repetitions have to do,
/// of which this leaves room for four.
const ON_HELD: wire::Timing = wire::Timing { window: 3_000, attempts: 1, reply: 3_000 };

impl Dial {
    /// How long and how often it is tried, where `usual` is what others are.
    pub fn timing(&self, usual: wire::Timing) -> wire::Timing {
        if self.script.hold.is_some() {
            return ON_HELD;
        }
        let Some(timeout) = self.timeout else { return usual };
        let window = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        // As many attempts a second as otherwise, and no fewer than loss asks for.
        let step = (usual.window / usual.attempts.max(1)).max(1);
        let attempts = (window / step).clamp(usual.attempts, MOST_ATTEMPTS);
        wire::Timing { window, attempts, reply: usual.reply.max(window) }
    }

    /// The question as the agent takes it.
    pub fn probe(&self, id: u64, nonce: String, timing: wire::Timing) -> wire::Probe {
        let timing = self.timing(timing);
        wire::Probe {
            id,
            target: match &self.whom {
                Whom::Address(address) => wire::Target::Address(*address),
                Whom::Name(name, _) => wire::Target::Name(name.clone()),
            },
            family: match &self.whom {
                Whom::Address(_) => None,
                Whom::Name(_, Family::Ipv4) => Some(wire::Family::Ipv4),
                Whom::Name(_, Family::Ipv6) => Some(wire::Family::Ipv6),
            },
            port: self.port.number,
            protocol: match self.port.protocol {
                Protocol::Tcp => wire::Protocol::Tcp,
                Protocol::Udp => wire::Protocol::Udp,
                Protocol::Http => wire::Protocol::Http,
                Protocol::Sctp => wire::Protocol::Sctp,
                Protocol::Icmp => wire::Protocol::Icmp,
            },
            script: Script::clone(&self.script),
            question: if self.keyed { Question::Keyed { nonce } } else { Question::Bare },
            timing,
        }
    }
}

/// Turns a result into what was seen of each address; `clock` is `None` only where the
/// session was lost since, and then the batch's start stands in.
pub(super) fn seen(
    dial: &Dial,
    result: &ProbeResult,
    clock: Option<&Clock>,
    started: Instant,
) -> Vec<Seen> {
    let instant = |micros| clock.map_or(started, |clock| clock.instant(micros));
    let nowhere =
        |observation| vec![Seen { address: None, observation, at: instant(result.started) }];
    match &result.resolution {
        Some(Resolution::NoSuchName { message } | Resolution::Failed { message }) => {
            return nowhere(Observation::NotResolved { message: message.clone() });
        }
        Some(Resolution::Resolved { addresses })
            if result.dials.is_empty() && !addresses.is_empty() =>
        {
            let message = match &dial.whom {
                Whom::Name(name, family) => format!("{name} has no {family} address"),
                Whom::Address(address) => format!("{address} was not dialled"),
            };
            return nowhere(Observation::NotThere { message });
        }
        Some(Resolution::Resolved { .. }) | None if result.dials.is_empty() => {
            let message = "the agent dialled no address".to_owned();
            return nowhere(Observation::AgentFailed { message });
        }
        Some(Resolution::Resolved { .. }) | None => {}
    }
    let each = result.dials.iter().map(|dial| {
        let observation = Observation::from(&dial.outcome);
        let connected = matches!(observation, Observation::Connected { .. });
        let shows = dial
            .attempts
            .iter()
            .find(|attempt| !connected || attempt.outcome == AttemptOutcome::Connected);
        Seen {
            address: Some(dial.address),
            observation,
            at: instant(shows.map_or(result.started, |attempt| attempt.at)),
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests;
