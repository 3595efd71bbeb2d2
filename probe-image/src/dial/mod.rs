//! Dialling: one probe is all attempts at all addresses of its target.
//!
//! ```text
//! probe ──▶ resolve ──▶ a dial for each address ──▶ attempts, staggered (race)
//!                                                    └▶ the first handshake ──▶ the question
//! ```

mod admission;
mod datagram;
mod dns;
mod echo;
mod failure;
mod held;
mod http;
mod race;
mod schedule;
mod socket;
mod stream;
mod summary;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::time::Instant;

use crate::{
    clock,
    question::{Key, Nonce},
    resolve::Resolver,
    source_port::SourcePorts,
    wire::{
        Answer, Dial, Outcome, Probe, ProbeResult, Protocol, Question, Resolution, Script, Target,
    },
};
use admission::Admission;

/// The longest window and reply that a probe may ask for, milliseconds.
const LONGEST: u32 = 120_000;

/// The most attempts that a probe may ask for.
const MOST_ATTEMPTS: u32 = 100;

/// The longest datagram that a probe may ask for: it fits in any packet.
const LONGEST_PAYLOAD: usize = 1_200;

/// What all dials of a session share.
#[derive(Debug)]
pub struct Dialer {
    key: Key,
    ports: Mutex<SourcePorts>,
    admission: Admission,
    resolver: Resolver,
    held: held::Held,
}

/// What a dial says once it is connected.
#[derive(Clone, Debug)]
enum Saying {
    /// A question for an agent of this run.
    Keyed(Key, Nonce),
    /// Nothing of our own.
    Bare,
}

/// A dial to one address.
#[derive(Clone, Debug)]
struct Call {
    address: SocketAddr,
    /// What an HTTP server is called: the name dialled, or the address.
    host: String,
    protocol: Protocol,
    script: Script,
    saying: Saying,
    window: Duration,
    attempts: u32,
    reply: Duration,
}

/// What came of a connection after its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Answer(Answer),
    Reset,
}

impl Said {
    /// How much it tells.
    fn rank(&self) -> u8 {
        match self {
            Self::Reset => 0,
            Self::Answer(Answer::HandshakeOnly) => 1,
            Self::Answer(
                Answer::Application { .. }
                | Answer::Tls { .. }
                | Answer::TlsFailed { .. }
                | Answer::Dns { .. }
                | Answer::Datagram { .. }
                | Answer::Echo,
            ) => 2,
            Self::Answer(Answer::Agent { .. }) => 3,
        }
    }

    fn is_agent(&self) -> bool {
        matches!(self, Self::Answer(Answer::Agent { .. }))
    }

    /// The more telling one.
    fn or(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Answer(answer) => Outcome::Connected { answer },
            Self::Reset => Outcome::Reset,
        }
    }
}

/// Why a probe can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No number of attempts that makes sense.
    #[error("probe {0}: attempts must be 1 to {MOST_ATTEMPTS}")]
    Attempts(u64),
    /// A wait that never ends.
    #[error("probe {0}: window and reply must be at most {LONGEST} ms")]
    Timing(u64),
    /// A port that no connection has.
    #[error("probe {0}: port 0")]
    Port(u64),
    /// A port where there are none.
    #[error("probe {0}: ICMP has no ports")]
    NoPorts(u64),
    /// Something to say that its protocol doesn't have.
    #[error("probe {0}: {1}")]
    Script(u64, String),
    /// A nonce that isn't one.
    #[error("probe {0}: {1}")]
    Nonce(u64, crate::question::Error),
}

/// Checks that a probe can be made.
///
/// # Errors
/// [`Error`] names the probe and the part of it.
pub fn check(probe: &Probe) -> Result<(), Error> {
    match (probe.protocol, probe.port) {
        (Protocol::Icmp, 0) => {}
        (Protocol::Icmp, _) => return Err(Error::NoPorts(probe.id)),
        (_, 0) => return Err(Error::Port(probe.id)),
        _ => {}
    }
    if !(1..=MOST_ATTEMPTS).contains(&probe.timing.attempts) {
        return Err(Error::Attempts(probe.id));
    }
    if probe.timing.window > LONGEST || probe.timing.reply > LONGEST {
        return Err(Error::Timing(probe.id));
    }
    check_script(&probe.script).map_err(|error| Error::Script(probe.id, error))?;
    if let Question::Keyed { nonce } = &probe.question {
        nonce.parse::<Nonce>().map_err(|error| Error::Nonce(probe.id, error))?;
    }
    Ok(())
}

fn check_script(script: &Script) -> Result<(), String> {
    script.http.as_ref().map_or(Ok(()), http::check)?;
    script.tls.as_ref().map_or(Ok(()), tls::check)?;
    script.dns.as_ref().map_or(Ok(()), |question| dns::Asked::scripted(question).map(drop))?;
    match script.payload.as_deref().map(crate::wire::hex::decode) {
        Some(None) => Err("the payload is no hex".to_owned()),
        Some(Some(bytes)) if bytes.len() > LONGEST_PAYLOAD => {
            Err(format!("the payload is longer than {LONGEST_PAYLOAD} bytes"))
        }
        _ => Ok(()),
    }
}

impl Dialer {
    /// A dialer that has at most `sockets` sockets open at once.
    pub fn new(key: Key, sockets: usize) -> Self {
        Self {
            key,
            ports: Mutex::default(),
            admission: Admission::new(sockets),
            resolver: Resolver,
            held: held::Held::default(),
        }
    }

    /// Makes a probe, with at most `rate` new connections a second.
    ///
    /// # Errors
    /// What [`check`] finds.
    pub async fn probe(
        self: Arc<Self>,
        probe: Probe,
        rate: Option<u32>,
    ) -> Result<ProbeResult, Error> {
        check(&probe)?;
        let begun = Instant::now();
        let started = clock::now();
        let (resolution, addresses, host) = match &probe.target {
            Target::Address(address) => (None, vec![*address], host(*address)),
            Target::Name(name) => {
                let resolution = self.resolver.resolve(name).await;
                let addresses = match &resolution {
                    Resolution::Resolved { addresses } => addresses.clone(),
                    Resolution::NoSuchName { .. } | Resolution::Failed { .. } => Vec::new(),
                };
                (Some(resolution), addresses, name.clone())
            }
        };
        let saying = match &probe.question {
            Question::Keyed { nonce } => {
                let nonce = nonce.parse().map_err(|error| Error::Nonce(probe.id, error))?;
                Saying::Keyed(self.key.clone(), nonce)
            }
            Question::Bare => Saying::Bare,
        };
        let mut dials = FuturesOrdered::new();
        let asked = |address: &IpAddr| probe.family.is_none_or(|family| family.has(*address));
        for address in addresses.into_iter().filter(asked) {
            let call = Call {
                address: SocketAddr::new(address, probe.port),
                host: host.clone(),
                protocol: probe.protocol,
                script: probe.script.clone(),
                saying: saying.clone(),
                window: Duration::from_millis(probe.timing.window.into()),
                attempts: probe.timing.attempts,
                reply: Duration::from_millis(probe.timing.reply.into()),
            };
            dials.push_back(self.dial(call, rate));
        }
        let dials: Vec<Dial> = dials.collect().await;
        let elapsed = microseconds(begun.elapsed());
        Ok(ProbeResult { id: probe.id, started, elapsed, resolution, dials })
    }

    async fn dial(&self, call: Call, rate: Option<u32>) -> Dial {
        let dial = self.admitted(&call, rate).await;
        match dns::once_more(&call, &dial) {
            Some(call) => dns::made_whole(dial, self.admitted(&call, rate).await.outcome),
            None => dial,
        }
    }

    async fn admitted(&self, call: &Call, rate: Option<u32>) -> Dial {
        let mut place = self.admission.admit(call.attempts, rate).await;
        let dial = match call.protocol {
            _ if call.script.hold.is_some() => held::dial(self, call).await,
            Protocol::Tcp | Protocol::Http | Protocol::Sctp => stream::dial(self, call).await,
            Protocol::Udp => datagram::dial(self, call).await,
            Protocol::Icmp => echo::dial(self, call).await,
        };
        place.used(dial.attempts.len());
        dial
    }
}

/// An address as it stands in a URL.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
