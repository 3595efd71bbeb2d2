//! The order of a run's stages, and the promise that everything is swept.

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Options, Stop,
    error::RunError,
    live::Live,
    marker::{Bite, Marker},
    spec::Said,
    startup::AtRest,
    step::Step,
    stop::cut,
};
use crate::{
    cluster::{self, Finding, Meddling, Pods, RunContext, RunLease, Severity, preflight, sweep},
    event::{self, CaseInfo, CaseOutcome, ClusterInfo, Event, Repetition, Stage},
    model::{Family, IpProtocol},
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
            runner.guarded(adopted).await;
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

/// The name of the step that top-level cases make.
const BASE: &str = "base";

/// The canaries once they were tried, and whether their policies stand.
#[derive(Default)]
struct Canaries {
    marker: Option<Marker>,
    closed: bool,
}

/// What is asked in one step.
#[derive(Clone, Copy)]
struct Asking<'a> {
    suite: &'a SuitePlan,
    step: &'a str,
    cases: &'a [PlannedCase],
    /// The API server's answer to the step's last write; none where it wrote nothing.
    written: Option<Instant>,
}

/// A run under way.
pub(super) struct Runner<'a> {
    pub context: &'a RunContext,
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub events: &'a EventSender,
    pub stop: &'a Stop,
    origin: Instant,
    said: Said,
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

    async fn suites(
        &self,
        adopted: &BTreeSet<PodIndex>,
        cancel: &CancellationToken,
    ) -> Result<(), RunError> {
        let pods = Pods::watch(self.context, &self.names(self.all_pods()), cancel.clone()).await;
        let mut live = Live::new(self.plan, pods, self.options.rate);
        live.authority = self.context.cluster().authority().map(str::to_owned);
        let control_pods: Vec<PodIndex> =
            self.all_pods().filter(|pod| !self.is_of_a_suite(*pod)).collect();
        let mut canaries = Canaries::default();
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
        canaries: &mut Canaries,
        adopted: &BTreeSet<PodIndex>,
    ) -> Result<(), RunError> {
        let askable = self.askable(live, asking.cases).await;
        let (first, askable): (Vec<_>, Vec<_>) =
            askable.into_iter().partition(|case| case.newcomer().is_some());
        if askable.is_empty() {
            self.startups(asking.suite, &first, live, &AtRest::new(), adopted).await;
            return Ok(());
        }
        let marker = match &mut canaries.marker {
            Some(marker) => marker,
            None => canaries.marker.insert(self.first_canaries(live).await),
        };
        let asking = Asking { cases: &askable, ..asking };
        let at_rest = self.step(asking, live, marker, &mut canaries.closed).await?;
        self.startups(asking.suite, &first, live, &at_rest, adopted).await;
        Ok(())
    }

    /// The cases without those of an IP family that no pod of the run has. Those are
    /// told as not run: nothing was claimed about a family that isn't there. A single pod
    /// without an address is another matter, and no reason to be silent.
    async fn askable(&self, live: &Live<'_>, cases: &[PlannedCase]) -> Vec<PlannedCase> {
        let is_there = |family| self.all_pods().any(|pod| live.address(pod, family).is_some());
        let (askable, lacking): (_, Vec<PlannedCase>) =
            cases.iter().cloned().partition(|case| is_there(case.family));
        for case in lacking {
            let because = format!("the cluster's pods have no {} address", case.family);
            let outcome = CaseOutcome::without_rounds(Judgement::not_run(because));
            self.events.send(Event::CaseJudged { id: case.id, outcome: Box::new(outcome) }).await;
        }
        askable
    }

    async fn first_canaries(&self, live: &Live<'_>) -> Marker {
        self.progress(Stage::Canary, None, 0, 1).await;
        let transports: BTreeSet<IpProtocol> =
            self.plan.cases().map(|case| case.port.protocol.transport()).collect();
        let families: BTreeSet<Family> = self.plan.cases().map(|case| case.family).collect();
        let marker = Marker::new(live, &transports, &families);
        for canary in marker.before(live, self.options.timing, self.stop).await {
            self.events.send(Event::Canary { canary }).await;
        }
        marker
    }

    async fn step(
        &self,
        asking: Asking<'_>,
        live: &Live<'_>,
        marker: &Marker,
        closed: &mut bool,
    ) -> Result<AtRest, RunError> {
        let (bite, bitten) = watch::channel(Bite::Pending);
        let step = Step {
            context: self.context,
            live,
            suite: &asking.suite.name,
            name: asking.step,
            cases: asking.cases,
            marker,
            options: self.options,
            stop: self.stop,
            events: self.events,
            origin: self.origin,
            written: asking.written,
            said: &self.said,
        };
        let at_rest = if *closed {
            let written = self.context.delete_canary_policies(self.plan).await?;
            let opened = marker.open(live, self.options, self.stop, written, &bite);
            tokio::join!(opened, step.run(bitten)).1
        } else {
            let written = self.context.create_canary_policies(self.plan).await?;
            let isolated = async {
                marker.isolate(live, self.options, self.stop, written, &bite).await;
                for canary in marker.canaries() {
                    self.events.send(Event::Canary { canary }).await;
                }
            };
            tokio::join!(isolated, step.run(bitten)).1
        };
        *closed = !*closed;
        Ok(at_rest)
    }

    pub(super) async fn not_run(&self, cases: impl Iterator<Item = &PlannedCase>) {
        let because = self.stop.reason().map_or("the run ended first", cut);
        for case in cases {
            let outcome = CaseOutcome::without_rounds(Judgement::not_run(because));
            let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
            self.events.send(event).await;
        }
    }

    /// Makes room for the next suite, which must not meet this one's policies.
    async fn sweep_suite(&self, suite: &SuitePlan) -> Result<(), RunError> {
        let control = &self.plan.control_namespace.name;
        let mut used = self.used_namespaces(suite);
        used.remove(control);
        let used: Vec<String> = used.into_iter().collect();
        let deadline = Instant::now() + self.options.sweep_within;
        let report = sweep(self.context, &names_of(suite), &used, deadline).await?;
        for left in report.left {
            let message = format!("suite {} left {left} behind", suite.name);
            self.events.send(Event::Warning { message, remedy: None }).await;
        }
        Ok(())
    }

    async fn sweep(&self) {
        let created: Vec<String> = self
            .plan
            .suites
            .iter()
            .flat_map(names_of)
            .chain(
                self.plan
                    .control_namespace
                    .created
                    .then(|| self.plan.control_namespace.name.clone()),
            )
            .collect();
        if self.options.keep {
            // The run's own things may stay for a look; others' are put back in any case.
            self.undo().await;
            self.events.send(Event::Swept { removed: 0, left: created, kept: true }).await;
            return;
        }
        self.progress(Stage::Sweep, None, 0, 1).await;
        self.undo().await;
        let suites = self.plan.suites.iter().flat_map(|suite| self.used_namespaces(suite));
        let control = &self.plan.control_namespace;
        let control = (!control.created).then(|| control.name.clone());
        let used: Vec<String> =
            suites.chain(control).collect::<BTreeSet<_>>().into_iter().collect();
        let deadline = Instant::now() + self.options.sweep_within;
        let event = match sweep(self.context, &created, &used, deadline).await {
            Ok(report) => Event::Swept { removed: report.removed, left: report.left, kept: false },
            Err(error) => Event::Swept { removed: 0, left: vec![error.to_string()], kept: false },
        };
        self.events.send(event).await;
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

    fn all_pods(&self) -> impl Iterator<Item = PodIndex> + use<> {
        (0..self.plan.pods.len()).map(PodIndex)
    }

    fn is_of_a_suite(&self, pod: PodIndex) -> bool {
        self.plan.suites.iter().any(|suite| suite.pods.contains(&pod))
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

fn names_of(suite: &SuitePlan) -> Vec<String> {
    suite.namespaces.iter().map(|namespace| namespace.name.clone()).collect()
}
