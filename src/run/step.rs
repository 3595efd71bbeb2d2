//! A step: rounds until it has settled, beside the marker that says when they count.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Options, Stop,
    cause::Judged,
    live::Live,
    marker::{Bite, Marker},
    round::{self, CaseRound},
    spec::{Reading, Said},
    startup::AtRest,
    stop::cut,
};
use crate::{
    cluster::RunContext,
    event::{CaseOutcome, Event, Interruption},
    plan::{CaseId, Destination, PlannedCase},
    report::EventSender,
    verdict::{Expectation, Judgement, RoundTimes, Settled, Settling, Sighting, Verdict},
};

/// How long the first round waits for the marker, so that it may count at once.
const HEAD_START: Duration = Duration::from_millis(600);

/// What a step runs in.
pub(super) struct Step<'a> {
    pub context: &'a RunContext,
    pub live: &'a Live<'a>,
    /// The suite's name.
    pub suite: &'a str,
    /// The step's name.
    pub name: &'a str,
    pub cases: &'a [&'a PlannedCase],
    /// Cases whose verdict others ask for.
    pub remembered: &'a BTreeSet<CaseId>,
    pub marker: &'a Marker,
    pub options: &'a Options,
    pub stop: &'a Stop,
    pub events: &'a EventSender,
    /// The run's start, from which all times count.
    pub origin: Instant,
    /// The API server's answer to the step's last write; none where it wrote nothing.
    pub written: Option<Instant>,
    /// What the run has said once.
    pub said: &'a Said,
}

impl Step<'_> {
    /// Runs rounds until the step has settled or is told to stop, and sends a verdict
    /// for every case. What the policies say is read beside them.
    pub async fn run(&self, bite: watch::Receiver<Bite>) -> AtRest {
        let (reading, (settling, last, began)) = tokio::join!(self.read(), self.rounds(bite));
        self.report(settling, last, began, reading).await
    }

    async fn rounds(
        &self,
        mut bite: watch::Receiver<Bite>,
    ) -> (Option<Settling>, Vec<CaseRound>, Instant) {
        let head_start = bite.wait_for(|bite| *bite != Bite::Pending);
        let _ = tokio::time::timeout(HEAD_START, head_start).await;
        let began = Instant::now();
        let mut strange = BTreeMap::new();
        let mut last: Vec<CaseRound> = Vec::new();
        let mut settling: Option<Settling> = None;
        while !self.stop.is_stopped() {
            let asked = round::ask(self.context, self.live, self.cases, self.options.timing);
            let round = tokio::select! {
                round = asked => round,
                () = self.stop.stopped() => break,
            };
            let confirmed = bite.wait_for(|bite| *bite != Bite::Confirming);
            let bitten = tokio::select! {
                bitten = confirmed => bitten.map_or(Bite::Never, |bite| *bite),
                () = self.stop.stopped() => break,
            };
            // What was changed and put back has still spoiled what was seen meanwhile.
            for (pod, difference) in self.live.strange() {
                strange.entry(pod).or_insert(difference);
            }
            // It may be large, and nobody asks for it any more.
            drop(std::mem::take(&mut last));
            last = round.judge(self.live, self.marker, &strange);
            let settling = settling.get_or_insert_with(|| {
                Settling::new(self.options.settling, self.expect(&last, began))
            });
            if let Bite::Bitten { latency, .. } = bitten {
                settling.note_latency(latency);
            }
            let counted = self.counts(bitten, round.started(), began);
            let times = RoundTimes {
                started: self.since_origin(round.started()),
                ended: self.since_origin(round.ended()),
                counted,
            };
            let sightings = last.iter().map(|case| self.sighting(case)).collect();
            let done = settling.round(times, sightings);
            let event = Event::Round {
                suite: self.suite.to_owned(),
                step: self.name.to_owned(),
                number: settling.rounds(),
                as_expected: settling.as_expected(),
                total: last.len(),
                counted,
            };
            self.events.send(event).await;
            if self.options.fail_fast && settling.has_failed() {
                self.stop.stop(Interruption::FailFast);
            }
            // Where nothing is enforced, waiting for policies to bite would only be slow.
            if done || (bitten == Bite::Never && self.marker.some_node_enforces_nothing()) {
                break;
            }
            self.pause(round.started()).await;
        }
        (settling, last, began)
    }

    async fn pause(&self, round_started: Instant) {
        let until = round_started + self.options.round_interval;
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.stop.stopped() => {}
        }
    }

    /// Whether what a round saw may decide anything.
    fn counts(&self, bite: Bite, started: Instant, began: Instant) -> bool {
        match bite {
            Bite::Bitten { at, .. } => at <= started,
            Bite::Pending | Bite::Confirming => false,
            // No marker tells when changes have arrived: only the budget bounds that.
            Bite::Never => {
                let Some(written) = self.written else { return true };
                let longest = self.cases.iter().map(|case| case.within).max();
                started >= written.max(began) + longest.unwrap_or_default()
            }
        }
    }

    fn expect(&self, cases: &[CaseRound], began: Instant) -> Vec<Expectation> {
        let planned = self.cases.iter().zip(cases);
        planned
            .map(|(planned, case)| Expectation {
                claim: case.claim.clone(),
                changed_at: self.since_origin(self.changed_at(planned, began)),
                within: planned.within,
            })
            .collect()
    }

    /// The later of the step's last write and both pods' ContainersReady; the first round
    /// of a suite that changes nothing.
    fn changed_at(&self, case: &PlannedCase, began: Instant) -> Instant {
        let Some(written) = self.written else { return began };
        let destination = match case.destination {
            Destination::Pod(pod) => Some(pod),
            _ => None,
        };
        std::iter::once(case.source)
            .chain(destination)
            .filter_map(|pod| self.live.state(pod)?.containers_ready_since)
            .fold(written, Instant::max)
    }

    fn sighting(&self, case: &CaseRound) -> Sighting {
        Sighting {
            judgement: case.judgement.clone(),
            seen: case.seen.observation.clone(),
            at: self.since_origin(case.seen.at),
        }
    }

    fn since_origin(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    async fn report(
        &self,
        settling: Option<Settling>,
        last: Vec<CaseRound>,
        began: Instant,
        reading: Reading,
    ) -> AtRest {
        let cut = self.stop.reason().map(cut);
        let Some(settling) = settling else {
            for case in self.cases {
                let judgement = Judgement::not_run(cut.unwrap_or("no round took place"));
                self.judged(case, CaseOutcome::without_rounds(judgement)).await;
            }
            return AtRest::new();
        };
        let proves_nothing = self.marker.some_node_enforces_nothing();
        let settled = settling.finish(cut);
        self.tell_translated(&last).await;
        let judged = self.cases.iter().zip(&settled).zip(&last).map(|((case, settled), round)| {
            let (judgement, seen) = (&settled.judgement, settled.seen.as_ref());
            Judged { case, dialled: round.seen.address, judgement, seen }
        });
        let causes = self.causes(&judged.collect::<Vec<_>>(), reading).await;
        let mut at_rest = AtRest::new();
        // One after the other, for an outcome is larger than what it is made of.
        for (((case, settled), round), cause) in
            self.cases.iter().zip(settled).zip(last).zip(causes)
        {
            let outcome = self.outcome(case, settled, round, proves_nothing, began);
            if self.remembered.contains(&case.id) {
                at_rest.insert(case.id.clone(), outcome.judgement.clone());
            }
            self.judged(case, CaseOutcome { cause: cause.map(|cause| *cause), ..outcome }).await;
        }
        at_rest
    }

    async fn judged(&self, case: &PlannedCase, outcome: CaseOutcome) {
        let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
        self.events.send(event).await;
    }

    fn outcome(
        &self,
        case: &PlannedCase,
        settled: Settled,
        round: CaseRound,
        proves_nothing: bool,
        began: Instant,
    ) -> CaseOutcome {
        let Settled { judgement, seen, history, latency, latency_gap } = settled;
        let passed = judgement.verdict == Verdict::Pass;
        let error = self.live.clock_error(case.source).unwrap_or_default();
        CaseOutcome {
            proves_nothing: proves_nothing && passed,
            latency_error: latency.map(|_| error + latency_gap),
            endpoints: self.endpoints(case, &round),
            judgement,
            cause: None,
            seen,
            took: history
                .last()
                .map_or(began.elapsed(), |last| last.at.saturating_sub(self.since_origin(began))),
            controls: round.controls,
            history,
            latency,
        }
    }
}

#[cfg(test)]
mod tests;
