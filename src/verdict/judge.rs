//! The rule, in the order in which it asks.

use std::time::Duration;

use super::{
    claim::{Claim, Intended},
    control::Controls,
    judgement::{Judgement, Reason, Verdict},
    moments::judge_established,
    observation::{AnsweredBy, Observation},
};
use crate::{
    model::Connectivity::{Allowed, Blocked},
    suite::{Denial, EvidenceRule},
};

/// Judges one sighting of one address by one claim.
///
/// The order matters: what failed on our own side is asked first, a connection is
/// believed before any control, and a denial is believed only after all of them.
pub fn judge(claim: &Claim, seen: &Observation, controls: &Controls) -> Judgement {
    let verdict = |verdict, reason| Judgement::new(verdict, reason);
    if let Some(survival) = claim.established
        && let Some(judgement) = judge_established(claim, survival, seen, controls)
    {
        return judgement;
    }
    match seen {
        // 1. Nothing was seen.
        Observation::AgentFailed { .. }
        | Observation::NotResolved { .. }
        | Observation::NoDestination { .. }
        | Observation::NotEstablished { .. }
        | Observation::NotAsPlanned { .. } => {
            verdict(Verdict::Inconclusive, Reason::NothingSeen { seen: seen.clone() })
        }
        // What isn't there can't be asked.
        Observation::NotThere { message } => Judgement::not_run(message),
        // 2. and 3. Somebody took the connection.
        Observation::Connected { by } => connected(claim, by),
        // 4. to 6. Blocked: by what?
        Observation::Refused | Observation::TimedOut | Observation::Prohibited { .. } => {
            blocked(claim, seen, controls)
        }
        // 7. Neither one nor the other.
        Observation::NoRoute { .. } | Observation::Reset | Observation::LocalError { .. } => {
            let reason = match controls.path_down() {
                // What is down says more than what the packet met on its way there.
                Some((control, detail)) => {
                    Reason::ControlNotUp { control, detail: detail.to_owned() }
                }
                None => Reason::Unclear { seen: seen.clone() },
            };
            verdict(Verdict::Inconclusive, reason)
        }
    }
}

/// Judges all addresses of a destination; the gravest judgement stands for the case. With it
/// come the sighting and the controls that it was made of; `None` where there was no address.
pub fn judge_all<S>(
    claim: &Claim,
    seen: impl IntoIterator<Item = S>,
    of: impl Fn(&S) -> (&Observation, Controls),
) -> Option<(Judgement, S, Controls)> {
    let judged = seen.into_iter().map(|sighting| {
        let (seen, controls) = of(&sighting);
        (judge(claim, seen, &controls), sighting, controls)
    });
    judged.max_by_key(|(judgement, ..)| judgement.verdict)
}

fn connected(claim: &Claim, by: &AnsweredBy) -> Judgement {
    let intended = match (&claim.intended, by) {
        (Intended::Agents(meant), AnsweredBy::Agent { identity, .. }) => meant.contains(identity),
        // A handshake says that something listens, not who: no proof, and no wrong peer.
        (Intended::Agents(_), AnsweredBy::Nobody) if claim.strangers.is_empty() => {
            return Judgement::new(Verdict::Inconclusive, Reason::HandshakeUnproven);
        }
        (Intended::Agents(_), AnsweredBy::Nobody) => claim.expect == Allowed,
        // Only its address tells whose echo it is, and that is the one that was dialled.
        (_, AnsweredBy::Echo) => true,
        (Intended::Agents(_), _) | (Intended::Foreign, AnsweredBy::Agent { .. }) => false,
        (Intended::Foreign, _) => true,
    };
    match (claim.expect, intended) {
        (Allowed, true) if !claim.strangers.is_empty() => {
            let with = claim.strangers.iter().cloned().collect::<Vec<_>>().join(", ");
            let reason = Reason::SharedService { with, meant: meant(claim) };
            Judgement::new(Verdict::Fail, reason)
        }
        // It got through, so that no policy is to blame.
        (Allowed, true) if answered_otherwise(claim, by).is_some() => {
            let (wanted, found) = answered_otherwise(claim, by).unwrap_or_default();
            Judgement::new(Verdict::Fail, Reason::OtherAnswer { wanted, found })
        }
        (Allowed, true) => match by {
            AnsweredBy::Agent { identity, .. } => {
                Judgement::new(Verdict::Pass, Reason::Answered { by: identity.clone() })
            }
            AnsweredBy::Application { summary, .. } => {
                Judgement::new(Verdict::Pass, Reason::ForeignAnswered { summary: summary.clone() })
            }
            AnsweredBy::Echo => Judgement::new(Verdict::Pass, Reason::Answered { by: by.told() }),
            AnsweredBy::Tls { .. }
            | AnsweredBy::TlsFailed { .. }
            | AnsweredBy::Dns { .. }
            | AnsweredBy::Datagram { .. } => {
                Judgement::new(Verdict::Pass, Reason::ForeignAnswered { summary: by.told() })
            }
            AnsweredBy::Nobody if claim.meshed => {
                Judgement::new(Verdict::Inconclusive, Reason::HandshakeUnproven)
            }
            AnsweredBy::Nobody => Judgement::new(Verdict::Pass, Reason::HandshakeOnly),
        },
        (Blocked, true) => Judgement::new(Verdict::Fail, Reason::Connected { by: by.to_string() }),
        (expect, false) => {
            let reason = Reason::WrongEndpoint { by: by.to_string(), meant: meant(claim) };
            let verdict = if expect == Allowed { Verdict::Fail } else { Verdict::Inconclusive };
            Judgement::new(verdict, reason)
        }
    }
}

/// The answer that the claim asks for and the one that came, where they differ. Who asks for
/// TLS asks for no less than that it comes about.
fn answered_otherwise(claim: &Claim, by: &AnsweredBy) -> Option<(String, String)> {
    match (by, &claim.answer) {
        (AnsweredBy::TlsFailed { .. }, _) => Some(("TLS".to_owned(), by.told())),
        (_, Some(wanted)) if !wanted.is(by) => Some((wanted.to_string(), wanted.found(by))),
        _ => None,
    }
}

fn meant(claim: &Claim) -> String {
    match &claim.intended {
        Intended::Agents(identities) => {
            identities.iter().map(String::as_str).collect::<Vec<_>>().join(" or ")
        }
        Intended::Foreign => "a peer outside this run".to_owned(),
    }
}

fn blocked(claim: &Claim, seen: &Observation, controls: &Controls) -> Judgement {
    // 4. The network is down, whatever the policies say.
    if let Some((control, detail)) = controls.path_down() {
        let detail = detail.to_owned();
        return match claim.expect {
            Allowed => Judgement::new(Verdict::Fail, Reason::PathDown { control, detail }),
            Blocked => {
                Judgement::new(Verdict::Inconclusive, Reason::ControlNotUp { control, detail })
            }
        };
    }
    // 5. Nothing says by what it was blocked.
    if let Some(reason) = controls.unproven() {
        return if claim.expect == Blocked && claim.evidence == EvidenceRule::Any {
            let because = reason.to_string();
            Judgement::new(Verdict::Pass, Reason::CauseUnproven { because })
        } else {
            Judgement::new(Verdict::Inconclusive, reason)
        };
    }
    // 6. Every control is up: this is a denial.
    match (claim.expect, seen) {
        (Allowed, _) => Judgement::new(Verdict::Fail, Reason::Blocked { seen: seen.clone() }),
        (Blocked, Observation::TimedOut) => Judgement::new(Verdict::Pass, Reason::Dropped),
        (Blocked, _) => Judgement::new(Verdict::Pass, Reason::Rejected { seen: seen.clone() }),
    }
}

/// Holds a proven denial against the kind of denial that the case asks for.
///
/// One answer in any round proves that traffic is rejected. That none came proves that
/// it is dropped only over more than a second: kernels limit the rate of their ICMP
/// answers (L15). `silent_for` is the time between the first and the last attempt of
/// the rounds in which nothing came back; `rejected` is any answer seen in any of them.
pub fn judge_denial(
    claim: &Claim,
    judgement: Judgement,
    rejected: Option<&Observation>,
    silent_for: Duration,
) -> Judgement {
    let unlike = match judgement.reason {
        Reason::Dropped | Reason::Rejected { .. } => Verdict::Fail,
        // By what it was blocked isn't known, and so not by what it is denied.
        Reason::CauseUnproven { .. } => Verdict::Inconclusive,
        _ => return judgement,
    };
    match (claim.denial, rejected) {
        (Some(wanted @ Denial::Drop), Some(seen)) => {
            Judgement::new(unlike, Reason::OtherDenial { wanted, seen: seen.clone() })
        }
        (Some(Denial::Drop), None) if silent_for <= Duration::from_secs(1) => {
            Judgement::not_settled("silence proves a drop only over more than a second")
        }
        (Some(wanted @ Denial::Reject), None) => {
            Judgement::new(unlike, Reason::OtherDenial { wanted, seen: Observation::TimedOut })
        }
        (_, Some(seen)) if unlike == Verdict::Fail => {
            Judgement::new(Verdict::Pass, Reason::Rejected { seen: seen.clone() })
        }
        _ => judgement,
    }
}

#[cfg(test)]
mod tests;
