//! The order of a run's stages, and the promise that everything is swept.

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Options, Stop, error::RunError, spec::Said, stop::cut};
use crate::{
    cluster::{self, Finding, RunContext, RunLease, Severity, preflight},
    event::{self, CaseInfo, CaseOutcome, ClusterInfo, Event, Repetition, Stage},
    plan::{Plan, PlannedCase, PodIndex, SuitePlan},
    report::EventSender,
    verdict::Judgement,
};

/// Runs a plan. Everything that it has to say goes to `events`; whatever happens, what it
/// created is removed before it returns, unless it is to be kept.
pub async fn run(
    context: &RunContext,
    plan: &Plan,
    info: ClusterInfo,
    options: &Options,
    events: &EventSender,
    stop: &Stop,
) {
    let origin = Instant::now();
    events.send(started(plan, info, options.repetition)).await;
    for message in &options.notes {
        events.send(Event::Warning { message: message.clone(), remedy: None }).await;
    }
    let said = Said::default();
    let runner = Runner { context, plan, options, events, stop, origin, said };
    match runner.preflight().await {
        Ok(Some(adopted)) => {
            // Large, and carried through every caller otherwise.
            Box::pin(runner.guarded(adopted)).await;
            runner.sweep().await;
        }
        Ok(None) => {}
        Err(error) => runner.abort(&RunError::from(error), false).await,
    }
    let complete = stop.reason().is_none();
    events.send(Event::RunFinished { complete }).await;
}

fn started(plan: &Plan, cluster: ClusterInfo, repetition: Option<Repetition>) -> Event {
    let case = |suite: &SuitePlan, case: &PlannedCase| CaseInfo {
        id: case.id.clone(),
        suite: suite.name.clone(),
        step: case.step.clone(),
        name: case.name.clone(),
        from: case.from.clone(),
        to: case.to.clone(),
        port_label: case.port_label.clone(),
        port: case.port,
        family: case.family,
        expect: case.expect,
        moment: case.moment,
        because: case.because.clone(),
        location: case.location.to_string(),
    };
    Event::RunStarted {
        version: event::VERSION,
        run: plan.run.clone(),
        netproof: env!("CARGO_PKG_VERSION").to_owned(),
        started: Timestamp::now(),
        cluster,
        cases: plan
            .suites
            .iter()
            .flat_map(|suite| suite.all_cases().map(|each| case(suite, each)))
            .collect(),
        filtered_out: plan.filtered_out,
        repetition,
    }
}

/// A run under way.
pub(super) struct Runner<'a> {
    pub context: &'a RunContext,
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub events: &'a EventSender,
    pub stop: &'a Stop,
    pub origin: Instant,
    pub said: Said,
}

impl Runner<'_> {
    /// Looks before anything is touched. `None` if the run was refused; else the pods
    /// that some controller would adopt.
    async fn preflight(&self) -> Result<Option<BTreeSet<PodIndex>>, cluster::Error> {
        self.progress(Stage::Preflight, None, 0, 1).await;
        let found = preflight(self.context, self.plan).await?;
        let (refusals, warnings): (Vec<_>, Vec<_>) =
            found.findings.into_iter().partition(|finding| finding.severity == Severity::Refuse);
        for finding in warnings {
            let event = Event::Warning { message: finding.message, remedy: finding.remedy };
            self.events.send(event).await;
        }
        let refused = !refusals.is_empty();
        if let Some((message, remedy)) = together(refusals) {
            self.events.send(Event::Aborted { message, remedy, touched: false }).await;
        }
        self.progress(Stage::Preflight, None, 1, 1).await;
        Ok((!refused).then_some(found.adopted))
    }

    /// Runs until the end, an error, the stop, or a panic.
    async fn guarded(&self, adopted: BTreeSet<PodIndex>) {
        let work = AssertUnwindSafe(self.execute(&adopted)).catch_unwind();
        let result = tokio::select! {
            result = work => result.unwrap_or_else(|panic| Err(RunError::of_panic(&*panic))),
            () = self.stopped_and_late() => Ok(()),
        };
        if let Err(error) = result {
            self.abort(&error, true).await;
        }
        if let Some(by) = self.stop.reason() {
            self.events.send(Event::Interrupted { by }).await;
        }
    }

    /// After the stop the step gets a moment to hand in what it knows.
    async fn stopped_and_late(&self) {
        self.stop.stopped().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    async fn execute(&self, adopted: &BTreeSet<PodIndex>) -> Result<(), RunError> {
        let control = &self.plan.control_namespace;
        self.progress(Stage::Create, None, 0, 1).await;
        self.context.note_control_namespace(&control.name);
        if control.created {
            self.context.create_control_namespace(&control.name).await?;
        } else {
            self.context.create_owner(&control.name).await?;
        }
        let lease = RunLease::acquire(self.context, &control.name).await?;
        let cancel = CancellationToken::new();
        let _watching = cancel.clone().drop_guard();
        tokio::select! {
            result = self.suites(adopted, &cancel) => result,
            () = lease.lost().cancelled() => {
                Err(RunError::LeaseLost(lease.reason().unwrap_or_default()))
            }
        }
    }

    pub(super) async fn not_run(&self, cases: impl Iterator<Item = &PlannedCase>) {
        let because = self.stop.reason().map_or("the run ended first", cut);
        for case in cases {
            let outcome = CaseOutcome::without_rounds(Judgement::not_run(because));
            let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
            self.events.send(event).await;
        }
    }

    async fn abort(&self, error: &RunError, touched: bool) {
        let (message, remedy) = (error.explain(), error.remedy());
        self.events.send(Event::Aborted { message, remedy, touched }).await;
    }

    pub(super) async fn progress(
        &self,
        stage: Stage,
        suite: Option<&SuitePlan>,
        done: usize,
        total: usize,
    ) {
        let suite = suite.map(|suite| suite.name.clone());
        self.events.send(Event::Progress { stage, suite, done, total }).await;
    }

    pub(super) fn names(&self, pods: impl Iterator<Item = PodIndex>) -> Vec<(String, String)> {
        pods.map(|index| self.plan.pod(index))
            .map(|pod| (pod.namespace.clone(), pod.name.clone()))
            .collect()
    }
}

/// All refusals as one: whoever mends the first is not to meet the second only then.
fn together(refusals: Vec<Finding>) -> Option<(String, Option<String>)> {
    if refusals.len() < 2 {
        return refusals.into_iter().next().map(|finding| (finding.message, finding.remedy));
    }
    let mut message = format!("{} things stand in the way", refusals.len());
    for Finding { message: what, remedy, .. } in refusals {
        message.push_str("\n  ");
        message.push_str(&what);
        if let Some(remedy) = remedy {
            message.push_str("\n    ");
            message.push_str(&remedy);
        }
    }
    Some((message, None))
}
