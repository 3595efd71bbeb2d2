//! One round: every case is asked once, between two looks at the listeners.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use super::{
    asked::{Asked, InCommon, NodePath, Services},
    backends::service_of,
    controls::Evidence,
    dial::{Dial, Dialled, Seen, Whom},
    ends::Translated,
    live::Live,
    marker::Marker,
    once::Once,
};
use crate::{
    cluster::RunContext,
    model::Connectivity,
    plan::{Destination, PlannedCase, PodIndex},
    verdict::{Claim, Controls, Judgement, Observation, Verdict, judge, judge_all},
};

/// What a round saw, before anything is judged.
pub(super) struct Round<'a> {
    asked: Vec<Asked<'a>>,
    before: Dialled,
    window: Dialled,
    again: Dialled,
    after: Dialled,
    /// Ways between nodes on which some case's intended peer answered in this window.
    answered: BTreeSet<NodePath>,
}

/// What a round says of one case.
pub(super) struct CaseRound {
    pub claim: Claim,
    pub judgement: Judgement,
    pub seen: Seen,
    pub controls: Controls,
    pub described: Arc<str>,
    /// How a control pod on the source's node arrives at the destination's, where it isn't
    /// by its own address.
    pub control_translated: Option<Translated>,
}

/// Asks everything once.
pub(super) async fn ask<'a>(
    context: &RunContext,
    live: &Live<'_>,
    cases: &'a [&'a PlannedCase],
    timing: netproof_probe::wire::Timing,
) -> Round<'a> {
    let services = services(context, live, cases.iter().copied()).await;
    let mut common = InCommon::default();
    let asked = cases.iter().map(|case| {
        let mut asked = Asked::new(live, case, &services);
        asked.share(&mut common);
        asked
    });
    ask_by(asked.collect(), async |dials| live.dial(&dials, timing).await).await
}

/// Asks everything once, by whoever can dial.
async fn ask_by<'a>(
    asked: Vec<Asked<'a>>,
    dial: impl AsyncFn(BTreeSet<Dial>) -> Dialled,
) -> Round<'a> {
    let listeners: BTreeSet<Dial> = asked.iter().flat_map(Asked::listeners).cloned().collect();
    let questions = asked.iter().flat_map(Asked::questions).cloned().collect();

    let before = dial(listeners.clone()).await;
    let window = dial(questions).await;
    let again = dial(addresses_missed(&asked, &window)).await;
    let after = dial(listeners).await;

    let mut answered = BTreeSet::new();
    for asked in &asked {
        if let (Some(way), Ok(dial)) = (&asked.way, &asked.dial)
            // A connection from before proves no way for a fresh one.
            && dial.script.hold.is_none()
            && window.of(dial).iter().any(|seen| asked.is_answered(&seen.observation))
        {
            answered.insert(way.path.clone());
        }
    }
    Round { asked, before, window, again, after, answered }
}

impl Round<'_> {
    /// When its first question was put.
    pub fn started(&self) -> Instant {
        self.window.started
    }

    /// When its last answer came.
    pub fn ended(&self) -> Instant {
        self.after.ended
    }

    /// Judges every case, in the suite's order. `strange` holds the pods that by now were
    /// not what the plan says.
    pub fn judge(
        &self,
        live: &Live<'_>,
        marker: &Marker,
        strange: &BTreeMap<PodIndex, String>,
    ) -> Vec<CaseRound> {
        let evidence = Evidence {
            live,
            marker,
            before: &self.before,
            window: &self.window,
            again: &self.again,
            after: &self.after,
            answered: &self.answered,
        };
        let judge = |asked: &Asked<'_>| {
            if asked.is_its_endpoints {
                let each = asked.behind.iter();
                let each = each.map(|behind| self.judge_case(behind, &evidence, strange));
                let gravest = each.max_by_key(|case| case.judgement.verdict);
                return gravest.unwrap_or_else(|| self.judge_case(asked, &evidence, strange));
            }
            let mut worst = self.judge_case(asked, &evidence, strange);
            for behind in &asked.behind {
                let own = self.judge_case(behind, &evidence, strange);
                // Where the Service is closed, only an open way to a backend tells more.
                let tells = match asked.claim.expect {
                    Connectivity::Allowed => own.judgement.verdict > worst.judgement.verdict,
                    Connectivity::Blocked => own.judgement.verdict == Verdict::Fail,
                };
                if tells && worst.judgement.verdict != Verdict::Fail {
                    worst = CaseRound { claim: worst.claim, ..own };
                }
            }
            worst
        };
        let mut known = Once::<Controls>::default();
        let shared = |mut case: CaseRound| {
            known.put(&mut case.controls);
            case
        };
        self.asked.iter().map(judge).map(shared).collect()
    }

    /// The gravest judgement over all addresses stands for the case.
    fn judge_case(
        &self,
        asked: &Asked<'_>,
        evidence: &Evidence<'_>,
        strange: &BTreeMap<PodIndex, String>,
    ) -> CaseRound {
        let nowhere =
            |observation| vec![Seen { address: None, observation, at: self.window.started }];
        let seen = match (&asked.dial, asked.ends().find_map(|pod| strange.get(&pod))) {
            (_, Some(message)) => nowhere(Observation::NotAsPlanned { message: message.clone() }),
            (Ok(dial), None) => self.window.of(dial).to_vec(),
            (Err(observation), None) => nowhere(observation.clone()),
        };
        let gravest = judge_all(&asked.claim, seen, |seen| {
            (&seen.observation, evidence.controls(asked, seen.address))
        });
        let (judgement, seen, controls) = gravest.unwrap_or_else(|| {
            let message = "the agent gave no result".to_owned();
            let observation = Observation::AgentFailed { message };
            let controls = Controls::default();
            let judgement = judge(&asked.claim, &observation, &controls);
            (judgement, Seen { address: None, observation, at: self.window.started }, controls)
        });
        let claim = asked.claim.clone();
        CaseRound {
            claim,
            judgement,
            seen,
            controls,
            described: asked.described.clone(),
            control_translated: evidence.translated(asked),
        }
    }
}

pub(super) async fn services(
    context: &RunContext,
    live: &Live<'_>,
    cases: impl Iterator<Item = &PlannedCase>,
) -> Services {
    let ours: BTreeSet<&str> = live.plan.pods.iter().map(|pod| pod.namespace.as_str()).collect();
    let names: BTreeSet<(String, String)> = cases
        .filter_map(|case| match &case.destination {
            Destination::Service { namespace, name } => Some((namespace.clone(), name.clone())),
            // A name of ours may be a Service's; of others' nothing is known here.
            Destination::Host(name) => {
                let own = &live.plan.pod(case.source).namespace;
                service_of(name, own).filter(|(namespace, _)| ours.contains(namespace.as_str()))
            }
            _ => None,
        })
        .collect();
    let views = names.into_iter().map(|(namespace, name)| async move {
        let view = context.service(&namespace, &name).await.map_err(|error| error.to_string());
        ((namespace, name), view)
    });
    futures::future::join_all(views).await.into_iter().collect()
}

/// A witness resolves a name for itself; what only the source was told is dialled by
/// its address. Who was reached needs no witness.
fn addresses_missed(asked: &[Asked<'_>], window: &Dialled) -> BTreeSet<Dial> {
    let mut missed = BTreeSet::new();
    for asked in asked {
        let Ok(dial) = &asked.dial else { continue };
        if !matches!(dial.whom, Whom::Name(..)) {
            continue;
        }
        let connected = |seen: &Seen| matches!(seen.observation, Observation::Connected { .. });
        let unreached = window.of(dial).iter().filter(|seen| !connected(seen));
        for address in unreached.filter_map(|seen| seen.address) {
            for witness in &asked.witnesses {
                if !window.of(witness).iter().any(|seen| seen.address == Some(address)) {
                    missed.insert(Dial { whom: Whom::Address(address), ..witness.clone() });
                }
            }
        }
    }
    missed
}

#[cfg(test)]
pub(super) mod tests;
