//! The first instants of a pod: what a new one reaches, and who reaches it, before its
//! policies may be in force.
//!
//! Asked once the step has settled, so that every policy is old news to the CNI and only
//! the pod is new. A pod that dials does so by its own arguments, because a session comes
//! too late; a pod that is dialled is so from the moment at which its address is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use netproof_probe::wire::{self, Answer, Outcome, Timing};

use super::{
    asked::{Asked, Services},
    dial::Dial,
    live::Live,
    round,
    runner::Runner,
};
use crate::{
    event::{CaseOutcome, Endpoints, Event},
    plan::{CaseId, Destination, Moment, PlannedCase, PodIndex, SuitePlan},
    suite::CaseEnd,
    verdict::{AnsweredBy, FirstInstants, Intended, Judgement, Observation, judge_startup},
};

/// Milliseconds between two dials of a pod's first instants.
const EVERY: u32 = 50;

/// How long a pod's first instants are watched: longer than CNIs are known to take.
const WATCHED: Duration = Duration::from_secs(5);

/// How long the report may take after that.
const REPORT: Duration = Duration::from_secs(20);

/// One dial of those from outside: the series withstands loss.
const ONE: Timing = Timing { window: 200, attempts: 1, reply: 500 };

/// What a step's cases came to at rest, as far as others ask for it.
pub(super) type AtRest = BTreeMap<CaseId, Judgement>;

impl Runner<'_> {
    /// Asks the cases of a step that are about first instants, one new pod after another.
    pub(super) async fn startups(
        &self,
        suite: &SuitePlan,
        cases: &[&PlannedCase],
        live: &Live<'_>,
        at_rest: &AtRest,
        adopted: &BTreeSet<PodIndex>,
    ) {
        let mut by_pod = BTreeMap::<PodIndex, Vec<&PlannedCase>>::new();
        for &case in cases {
            if let Some(newcomer) = case.newcomer() {
                by_pod.entry(newcomer).or_default().push(case);
            }
        }
        for (newcomer, cases) in by_pod {
            if self.stop.is_stopped() {
                self.not_run(cases.into_iter()).await;
                continue;
            }
            let begun = Instant::now();
            let (watched, intended) =
                self.first_instants(suite, newcomer, &cases, live, adopted).await;
            for case in cases {
                let rest = at_rest_of(case).and_then(|id| at_rest.get(&id));
                let meant = intended.get(&case.id).unwrap_or(&Intended::Foreign);
                let judgement = match &watched {
                    Ok(seen) => {
                        let seen = seen.get(&case.id).cloned().unwrap_or_default();
                        judge_startup(case.expect, meant, &seen, rest)
                    }
                    Err(message) => Judgement::not_settled(message.clone()),
                };
                let outcome = CaseOutcome {
                    seen: sighting(watched.as_ref().ok().and_then(|seen| seen.get(&case.id))),
                    endpoints: Self::ends(case, live),
                    took: begun.elapsed(),
                    ..CaseOutcome::without_rounds(judgement)
                };
                let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
                self.events.send(event).await;
            }
            let pod = self.plan.pod(newcomer);
            let _ = self.context.delete_pod(&pod.namespace, &pod.name).await;
        }
    }

    /// Launches the pod and watches; what was seen, and who should have answered.
    async fn first_instants(
        &self,
        suite: &SuitePlan,
        newcomer: PodIndex,
        cases: &[&PlannedCase],
        live: &Live<'_>,
        adopted: &BTreeSet<PodIndex>,
    ) -> (Result<BTreeMap<CaseId, FirstInstants>, String>, BTreeMap<CaseId, Intended>) {
        let services = round::services(self.context, live, cases.iter().copied()).await;
        let mut intended = BTreeMap::new();
        let mut outwards = BTreeMap::new();
        let mut inwards: Vec<&PlannedCase> = Vec::new();
        for (id, case) in (1_u64..).zip(cases.iter().copied()) {
            let asked = Asked::at_rest(live, case, &services);
            intended.insert(case.id.clone(), asked.claim.intended.clone());
            match (case.moment, asked.dial) {
                (Moment::Startup { fresh: CaseEnd::To }, _) => inwards.push(case),
                (_, Ok(dial)) => {
                    outwards.insert(id, (case.id.clone(), dial));
                }
                (_, Err(_)) => {}
            }
        }
        let nonce = "0".repeat(32);
        let probe = |(id, (_, dial)): (&u64, &(CaseId, Dial))| dial.probe(*id, nonce.clone(), ONE);
        let startup = wire::Startup {
            every: EVERY,
            lasts: u32::try_from(WATCHED.as_millis()).unwrap_or(u32::MAX),
            probes: outwards.iter().map(probe).collect(),
        };
        let pod = self.plan.pod(newcomer);
        // It takes no traffic of anybody else's.
        let gate = true;
        let created = self.context.create_pod_that_dials(
            pod,
            gate,
            adopted.contains(&newcomer),
            (!startup.probes.is_empty()).then_some(&startup),
        );
        let created = match created.await {
            Ok(created) => created,
            Err(error) => return (Err(error.to_string()), intended),
        };
        let ready = self.ready(&live.pods, suite, std::slice::from_ref(&newcomer));
        let reached = self.reached(newcomer, &inwards, live, created.written);
        let (ready, mut seen) = tokio::join!(ready, reached);
        if let Err(error) = ready {
            return (Err(error.explain()), intended);
        }
        if !outwards.is_empty() {
            let deadline = Instant::now() + WATCHED + REPORT;
            let told = self.context.first_instants(&pod.namespace, &pod.name, deadline).await;
            match told {
                Ok(told) => {
                    for told in told {
                        if let Some((case, _)) = outwards.get(&told.id) {
                            seen.insert(case.clone(), of_agent(&told));
                        }
                    }
                }
                Err(error) => return (Err(error.to_string()), intended),
            }
        }
        (Ok(seen), intended)
    }

    /// Dials a pod from the moment at which it has an address. Times count from then.
    async fn reached(
        &self,
        newcomer: PodIndex,
        cases: &[&PlannedCase],
        live: &Live<'_>,
        created: Instant,
    ) -> BTreeMap<CaseId, FirstInstants> {
        let mut seen = BTreeMap::<CaseId, FirstInstants>::new();
        if cases.is_empty() {
            return seen;
        }
        let mut changes = live.pods.progress();
        let deadline = created + self.options.launch_within;
        let has_address = |case: &&PlannedCase| live.address(newcomer, case.family).is_some();
        while !cases.iter().any(has_address) {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return seen },
                () = tokio::time::sleep_until(deadline.into()) => return seen,
                () = self.stop.stopped() => return seen,
            }
        }
        let services = Services::new();
        let begun = Instant::now();
        while begun.elapsed() < WATCHED && !self.stop.is_stopped() {
            let dials: BTreeMap<CaseId, Dial> = cases
                .iter()
                .filter_map(|case| {
                    let asked = Asked::at_rest(live, case, &services);
                    Some((case.id.clone(), asked.dial.ok()?))
                })
                .collect();
            let dialled = live.dial(&dials.values().cloned().collect(), ONE).await;
            for (case, dial) in dials {
                let seen = seen.entry(case).or_default();
                for one in dialled.of(&dial) {
                    note(seen, &one.observation, one.at.saturating_duration_since(begun));
                }
                seen.watched = begun.elapsed();
            }
            let next = dialled.started + Duration::from_millis(EVERY.into());
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.stop.stopped() => {}
            }
        }
        seen
    }

    fn ends(case: &PlannedCase, live: &Live<'_>) -> Endpoints {
        let destination = match &case.destination {
            Destination::Pod(pod) => live.place(*pod, case.family),
            Destination::Service { namespace, name } => format!("Service {namespace}/{name}"),
            Destination::Address(address) => address.to_string(),
            Destination::Host(name) => name.clone(),
        };
        let source = live.place(case.source, case.family);
        Endpoints { source, destination, ..Endpoints::default() }
    }
}

/// The case that claims the same of the pods at rest.
pub(super) fn at_rest_of(case: &PlannedCase) -> Option<CaseId> {
    case.id.0.strip_suffix("/startup").map(|id| CaseId(id.to_owned()))
}

fn note(seen: &mut FirstInstants, observation: &Observation, after: Duration) {
    match observation {
        Observation::Connected { by } => {
            seen.attempts += 1;
            seen.first.get_or_insert(after);
            seen.last = Some(after);
            seen.by.get_or_insert_with(|| by.clone());
        }
        Observation::Refused | Observation::TimedOut | Observation::Prohibited { .. } => {
            seen.attempts += 1;
        }
        _ => {}
    }
}

/// What an agent tells, in the judge's words.
fn of_agent(told: &wire::FirstInstants) -> FirstInstants {
    let milliseconds = |time: u32| Duration::from_millis(time.into());
    let by =
        |answer: &Answer| match Observation::from(&Outcome::Connected { answer: answer.clone() }) {
            Observation::Connected { by } => by,
            _ => AnsweredBy::Nobody,
        };
    FirstInstants {
        attempts: told.attempts,
        watched: milliseconds(told.watched),
        first: told.first.as_ref().map(|first| milliseconds(first.after)),
        last: told.last.as_ref().map(|last| milliseconds(last.after)),
        by: told.first.as_ref().map(|first| by(&first.answer)),
    }
}

/// What stands in the table.
fn sighting(seen: Option<&FirstInstants>) -> Option<Observation> {
    let seen = seen?;
    match &seen.by {
        Some(by) => Some(Observation::Connected { by: by.clone() }),
        None if seen.attempts > 0 => Some(Observation::TimedOut),
        None => None,
    }
}
