//! The suites of a run, one after another, and the steps of each.

use std::{collections::BTreeSet, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    arrival::Arrival,
    error::RunError,
    live::Live,
    mark::Tried,
    marker::{Bite, Marker},
    runner::Runner,
    startup::{AtRest, at_rest_of},
    step::Step,
};
use crate::{
    cluster::{Meddling, Pods},
    event::{CaseOutcome, Event, Stage},
    model::{Family, IpProtocol},
    plan::{CaseId, PlannedCase, PodIndex, SuitePlan},
    suite::BASE,
    verdict::Judgement,
};

/// What is asked in one step.
#[derive(Clone, Copy)]
struct Asking<'a> {
    suite: &'a SuitePlan,
    step: &'a str,
    cases: &'a [PlannedCase],
    /// The API server's answer to the step's last write; none where it wrote nothing.
    written: Option<Instant>,
}

impl Runner<'_> {
    /// One suite after another.
    pub(super) async fn suites(
        &self,
        adopted: &BTreeSet<PodIndex>,
        cancel: &CancellationToken,
    ) -> Result<(), RunError> {
        let pods = Pods::watch(self.context, &self.names(self.all_pods()), cancel.clone()).await;
        let mut live = Live::new(self.plan, pods, self.options.rate);
        live.authority = self.context.cluster().authority().map(str::to_owned);
        let control_pods: Vec<PodIndex> =
            self.all_pods().filter(|pod| !self.is_of_a_suite(*pod)).collect();
        let mut canaries = None;
        for (place, suite) in self.plan.suites.iter().enumerate() {
            let mut launched = suite.first_pods();
            let written = if place == 0 {
                launched.extend(&control_pods);
                let (written, ()) = tokio::try_join!(
                    self.set_up(suite, adopted),
                    self.create_pods(&control_pods, adopted),
                )?;
                written
            } else {
                self.set_up(suite, adopted).await?
            };
            self.ready(&live.pods, suite, &launched).await?;
            self.open_sessions(&mut live, &launched, cancel).await?;
            let written = self.set_up_addresses(suite, &live).await?.or(written);
            live.meddling = Some(self.watch_meddling(suite).await);
            let base = Asking { suite, step: BASE, cases: &suite.cases, written };
            self.ask(base, &live, &mut canaries, adopted).await?;
            for (number, step) in suite.steps.iter().enumerate() {
                if self.stop.is_stopped() {
                    self.not_run(suite.steps[number..].iter().flat_map(|step| &step.cases)).await;
                    break;
                }
                self.hold(step, &mut live).await;
                let changes = self.change(suite, step, &mut live, adopted, cancel);
                let written = match changes.await {
                    Ok(written) => written,
                    Err(error) => {
                        self.not_changed(&suite.steps[number..], &error).await;
                        break;
                    }
                };
                let asking = Asking { suite, step: &step.name, cases: &step.cases, written };
                self.ask(asking, &live, &mut canaries, adopted).await?;
            }
            live.meddling = None;
            self.undo().await;
            if self.stop.is_stopped() {
                let rest = &self.plan.suites[place + 1..];
                self.not_run(rest.iter().flat_map(SuitePlan::all_cases)).await;
                return Ok(());
            }
            if place + 1 < self.plan.suites.len() && !self.options.keep {
                live.retain(|pod| !suite.pods.contains(&pod));
                self.sweep_suite(suite).await?;
            }
        }
        Ok(())
    }

    /// Begins to watch what others change where the suite asks.
    async fn watch_meddling(&self, suite: &SuitePlan) -> Meddling {
        let pods = suite.pods.iter().map(|pod| self.plan.pod(*pod).namespace.clone());
        let meddling = self.context.watch_meddling(&pods.collect()).await;
        let blind = meddling.blind();
        if !blind.is_empty() {
            let list = blind.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("no permission to watch {list}");
            let remedy = "what others change there meanwhile goes unnoticed";
            self.events.send(Event::Warning { message, remedy: Some(remedy.to_owned()) }).await;
        }
        meddling
    }

    /// Asks the cases of a step, after the canaries were tried.
    async fn ask(
        &self,
        asking: Asking<'_>,
        live: &Live<'_>,
        canaries: &mut Option<Tried>,
        adopted: &BTreeSet<PodIndex>,
    ) -> Result<(), RunError> {
        let askable = self.askable(live, asking.cases).await;
        let (first, askable): (Vec<_>, Vec<_>) =
            askable.into_iter().partition(|case| case.newcomer().is_some());
        let remembered = first.iter().filter_map(|case| at_rest_of(case)).collect();
        if askable.is_empty() {
            self.startups(asking.suite, &first, live, &AtRest::new(), adopted).await;
            return Ok(());
        }
        let tried = match canaries {
            Some(tried) => tried,
            None => canaries.insert(self.first_canaries(live).await),
        };
        // What a step holds is large, and not all of it need be the run's future.
        let step = Box::pin(self.step(asking, &askable, &remembered, live, tried));
        let at_rest = step.await?;
        self.startups(asking.suite, &first, live, &at_rest, adopted).await;
        Ok(())
    }

    /// The cases without those of an IP family that no pod of the run has. Those are
    /// told as not run: nothing was claimed about a family that isn't there. A single pod
    /// without an address is another matter, and no reason to be silent.
    async fn askable<'c>(&self, live: &Live<'_>, cases: &'c [PlannedCase]) -> Vec<&'c PlannedCase> {
        let is_there = |family| self.all_pods().any(|pod| live.address(pod, family).is_some());
        let (askable, lacking): (_, Vec<&PlannedCase>) =
            cases.iter().partition(|case| is_there(case.family));
        for case in lacking {
            let because = format!("the cluster's pods have no {} address", case.family);
            let outcome = CaseOutcome::without_rounds(Judgement::not_run(because));
            let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
            self.events.send(event).await;
        }
        askable
    }

    async fn first_canaries(&self, live: &Live<'_>) -> Tried {
        self.progress(Stage::Canary, None, 0, 1).await;
        let transports: BTreeSet<IpProtocol> =
            self.plan.cases().map(|case| case.port.protocol.transport()).collect();
        let families: BTreeSet<Family> = self.plan.cases().map(|case| case.family).collect();
        let marker = Marker::new(live, &transports, &families);
        let arrival = Arrival::new(live, &transports, &families);
        let before = marker.before(live, self.options.timing, self.stop);
        let (before, ()) = tokio::join!(before, arrival.arm(live, self.stop, None));
        for canary in before {
            self.events.send(Event::Canary { canary }).await;
        }
        Tried { marker, arrival, proven: false }
    }

    async fn step(
        &self,
        asking: Asking<'_>,
        cases: &[&PlannedCase],
        remembered: &BTreeSet<CaseId>,
        live: &Live<'_>,
        tried: &mut Tried,
    ) -> Result<AtRest, RunError> {
        let (bite, bitten) = watch::channel(Bite::Pending);
        let step = Step {
            context: self.context,
            live,
            suite: &asking.suite.name,
            name: asking.step,
            cases,
            remembered,
            marker: &tried.marker,
            options: self.options,
            stop: self.stop,
            events: self.events,
            origin: self.origin,
            written: asking.written,
            said: &self.said,
        };
        let over = CancellationToken::new();
        let stepping = async {
            let at_rest = step.run(bitten).await;
            over.cancel();
            Ok(at_rest)
        };
        let marking = self.mark(live, tried, &bite, &over);
        let (at_rest, ()) = tokio::try_join!(stepping, marking)?;
        tried.proven = true;
        Ok(at_rest)
    }

    fn all_pods(&self) -> impl Iterator<Item = PodIndex> + use<> {
        (0..self.plan.pods.len()).map(PodIndex)
    }

    fn is_of_a_suite(&self, pod: PodIndex) -> bool {
        self.plan.suites.iter().any(|suite| suite.pods.contains(&pod))
    }
}
