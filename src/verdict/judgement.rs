//! A verdict with its reason.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{control::ControlKind, observation::Observation};
use crate::{model::milliseconds, suite::Denial};

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The claim holds.
    Pass,
    /// What the claim is about isn't there, or the run ended first.
    NotRun,
    /// It could not be told.
    Inconclusive,
    /// The claim doesn't hold.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::NotRun => "not run",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "FAIL",
        })
    }
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// What became of the claim.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// Why a claim was judged as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Reason {
    /// The intended peer answered this probe's nonce.
    Answered {
        /// Its identity.
        by: String,
    },
    /// A foreign application replied.
    ForeignAnswered {
        /// Its reply, for people.
        summary: String,
    },
    /// A foreign peer completed the handshake and said nothing.
    HandshakeOnly,
    /// Denied, with every control up, and nothing came back.
    Dropped,
    /// Denied, with every control up, by an answer.
    Rejected {
        /// Which answer.
        seen: Observation,
    },
    /// `evidence: any`: blocked, and the controls that would say by what aren't up.
    CauseUnproven {
        /// Which control, and why not.
        because: String,
    },
    /// Denial expected, yet it connected.
    Connected {
        /// Who answered.
        by: String,
    },
    /// Somebody else answered than the case is about.
    WrongEndpoint {
        /// Who answered.
        by: String,
        /// Who should have.
        meant: String,
    },
    /// The Service that was dialled leads to others than the case is about, and any of them
    /// may answer the next connection.
    SharedService {
        /// Who else is behind it.
        with: String,
        /// Who should answer.
        meant: String,
    },
    /// The connection was made, and the application answered otherwise than asked for.
    OtherAnswer {
        /// What was asked for.
        wanted: String,
        /// What came.
        found: String,
    },
    /// Blocked, and a path control is down: the network, not policy.
    PathDown {
        /// The control.
        control: ControlKind,
        /// What it saw.
        detail: String,
    },
    /// A connection from before the change still answers.
    Survived {
        /// Who answered.
        by: String,
    },
    /// A connection from before the change doesn't answer any more, with every control up.
    Cut {
        /// What came of its use.
        seen: Observation,
    },
    /// A new pod was let through that should not have been, in its first instants.
    OpenAtFirst {
        /// From its first dial to the first that connected.
        #[serde(rename = "fromMs", with = "milliseconds")]
        from: Duration,
        /// From its first dial to the last that connected.
        #[serde(rename = "toMs", with = "milliseconds")]
        to: Duration,
    },
    /// A new pod was let through, as it should be.
    OpenAfter {
        /// From its first dial to the first that connected.
        #[serde(rename = "afterMs", with = "milliseconds")]
        after: Duration,
    },
    /// A new pod was kept out as long as its first instants were watched.
    ClosedFromStart {
        /// How often it was tried.
        attempts: u32,
        /// For how long.
        #[serde(rename = "watchedMs", with = "milliseconds")]
        watched: Duration,
    },
    /// Allowed traffic was blocked though every control is up.
    Blocked {
        /// How.
        seen: Observation,
    },
    /// It was denied, but not in the way that the case asks for.
    OtherDenial {
        /// What was asked for.
        wanted: Denial,
        /// What was seen.
        seen: Observation,
    },
    /// The observation changed again after it first was as expected.
    Flapping {
        /// How often it changed since.
        changes: usize,
    },
    /// The agent, its session or the name's resolution failed, or there was no
    /// destination to dial.
    NothingSeen {
        /// What failed.
        seen: Observation,
    },
    /// A control failed or could not be tried.
    ControlNotUp {
        /// The control.
        control: ControlKind,
        /// What it saw, or why it could not be tried.
        detail: String,
    },
    /// No control backs this denial.
    NoControls,
    /// A handshake that nobody followed up, where that proves nothing about the peer: a
    /// proxy may have taken it.
    HandshakeUnproven,
    /// Neither a connection nor a denial: no route, a local error, a reset.
    Unclear {
        /// What was seen.
        seen: Observation,
    },
    /// The run ended before the step had settled.
    NotSettled {
        /// What ended it.
        because: String,
    },
    /// A change that it depends on was not made.
    NotChanged {
        /// Which, and why.
        because: String,
    },
    /// It was never asked.
    NotAsked {
        /// Why.
        because: String,
    },
}

impl Judgement {
    pub(super) fn new(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason }
    }

    /// A claim about what a change was to bring, which was not made.
    pub fn not_changed(because: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, Reason::NotChanged { because: because.into() })
    }

    /// A claim that was never asked.
    pub fn not_run(because: impl Into<String>) -> Self {
        Self::new(Verdict::NotRun, Reason::NotAsked { because: because.into() })
    }

    /// A claim whose step ended before it had settled.
    pub fn not_settled(because: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, Reason::NotSettled { because: because.into() })
    }
}

impl fmt::Display for Reason {
    /// One sentence without a full stop, for a table or a block's head.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { by } => write!(f, "answered by {by}"),
            Self::ForeignAnswered { summary } => write!(f, "an application replied: {summary}"),
            Self::HandshakeOnly => f.write_str("handshake only: nobody spoke after it"),
            Self::Dropped => f.write_str("dropped: nothing came back, and every control is up"),
            Self::Rejected { seen } => write!(f, "rejected ({seen}), and every control is up"),
            Self::CauseUnproven { because } => write!(f, "blocked, cause unproven ({because})"),
            Self::Connected { by } => write!(f, "connected, answered by {by}"),
            Self::WrongEndpoint { by, meant } => write!(f, "answered by {by}, meant for {meant}"),
            Self::SharedService { with, meant } => {
                write!(f, "the Service leads to {with} too, meant for {meant}")
            }
            Self::OtherAnswer { wanted, found } => {
                write!(f, "connected, and answered {found}, not {wanted}")
            }
            Self::PathDown { control, detail } => {
                write!(f, "the path is down, not a policy: {control}: {detail}")
            }
            Self::Survived { by } => write!(f, "the connection still stands: {by} answers on it"),
            Self::Cut { seen } => {
                write!(f, "the connection is cut ({seen}), and every control is up")
            }
            Self::OpenAtFirst { from, to } => write!(
                f,
                "open at first: let through from {from:.1?} to {to:.1?} after its first dial"
            ),
            Self::OpenAfter { after } => {
                write!(f, "let through {after:.1?} after its first dial")
            }
            Self::ClosedFromStart { attempts, watched } => {
                write!(f, "closed from its first dial on: {attempts} dials in {watched:.1?}")
            }
            Self::Blocked { seen } => write!(f, "blocked ({seen}), and every control is up"),
            Self::OtherDenial { wanted, seen } => {
                write!(f, "denied, but not by {wanted}: {seen}")
            }
            Self::Flapping { changes } => {
                let times =
                    if *changes == 1 { "once".to_owned() } else { format!("{changes} times") };
                write!(f, "flapping: changed {times} after it first was as expected")
            }
            Self::NothingSeen { seen } => match seen {
                Observation::AgentFailed { message } => write!(f, "agent unreachable: {message}"),
                Observation::NotResolved { message } => write!(f, "name not resolved: {message}"),
                Observation::NoDestination { message }
                | Observation::NotEstablished { message }
                | Observation::NotAsPlanned { message } => f.write_str(message),
                other => write!(f, "{other}"),
            },
            Self::ControlNotUp { control, detail } => write!(f, "{control}: {detail}"),
            Self::NoControls => f.write_str("blocked, and no control says by what"),
            Self::HandshakeUnproven => {
                f.write_str("handshake only: a proxy may have taken it, which proves nothing")
            }
            Self::Unclear { seen } => match seen {
                Observation::NoRoute { message } | Observation::LocalError { message } => {
                    write!(f, "neither connected nor denied: {seen} ({message})")
                }
                _ => write!(f, "neither connected nor denied: {seen}"),
            },
            Self::NotChanged { because } => write!(f, "the change was not made: {because}"),
            Self::NotSettled { because } => write!(f, "not settled: {because}"),
            Self::NotAsked { because } => f.write_str(because),
        }
    }
}
