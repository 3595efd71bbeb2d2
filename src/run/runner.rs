//! The order of a run's stages, and the promise that everything is swept.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Options, Stop,
    live::Live,
    marker::{Bite, Marker},
    step::Step,
    stop::cut,
};
use crate::{
    cluster::{
        self, AGENT_CONTAINER, NotReady, Pods, RunContext, RunLease, Session, Severity, preflight,
        sweep,
    },
    event::{self, CaseInfo, CaseOutcome, ClusterInfo, Event, Stage},
    model::{Family, Transport},
    plan::{Plan, PodIndex, SuitePlan},
    report::EventSender,
    verdict::Judgement,
};

/// Creations under way at once.
const PARALLEL: usize = 16;

/// How long agents may take to say hello once their pods are ready.
const SESSIONS_WITHIN: Duration = Duration::from_secs(30);

/// Why a run could not go on. What was created is swept all the same.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A call to the cluster failed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Probe pods did not become ready.
    #[error("{0}")]
    NotReady(NotReady),
    /// An agent gave no sign of life.
    #[error(transparent)]
    Session(#[from] cluster::SessionError),
    /// A sweeper may take this run's objects away.
    #[error("the run's Lease was lost: {0}")]
    LeaseLost(String),
    /// A defect of netproof.
    #[error("internal error: {0}")]
    Panic(String),
}

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
    events.send(started(plan, info)).await;
    let runner = Runner { context, plan, options, events, stop, origin };
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

fn started(plan: &Plan, cluster: ClusterInfo) -> Event {
    let case = |suite: &SuitePlan, case: &crate::plan::PlannedCase| CaseInfo {
        id: case.id.clone(),
        suite: suite.name.clone(),
        name: case.name.clone(),
        from: case.from.clone(),
        to: case.to.clone(),
        port_label: case.port_label.clone(),
        port: case.port,
        family: case.family,
        expect: case.expect,
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
            .flat_map(|suite| suite.cases.iter().map(|each| case(suite, each)))
            .collect(),
        filtered_out: plan.filtered_out,
    }
}

struct Runner<'a> {
    context: &'a RunContext,
    plan: &'a Plan,
    options: &'a Options,
    events: &'a EventSender,
    stop: &'a Stop,
    origin: Instant,
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
        for finding in refusals {
            let event =
                Event::Aborted { message: finding.message, remedy: finding.remedy, touched: false };
            self.events.send(event).await;
        }
        self.progress(Stage::Preflight, None, 1, 1).await;
        Ok((!refused).then_some(found.adopted))
    }

    /// Runs until the end, an error, the stop, or a panic.
    async fn guarded(&self, adopted: BTreeSet<PodIndex>) {
        let work = AssertUnwindSafe(self.execute(&adopted)).catch_unwind();
        let result = tokio::select! {
            result = work => result.unwrap_or_else(|panic| Err(RunError::Panic(message_of(&*panic)))),
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
        let control_pods: Vec<PodIndex> =
            self.all_pods().filter(|pod| !self.is_of_a_suite(*pod)).collect();
        let mut marker: Option<Marker> = None;
        let mut closed = false;
        for (place, suite) in self.plan.suites.iter().enumerate() {
            let mut launched = suite.pods.clone();
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
            let strange = self.strange(&live, &launched);
            if marker.is_none() {
                marker = Some(self.first_canaries(&live).await);
            }
            if let Some(marker) = &marker {
                self.step(suite, &live, marker, &mut closed, written, &strange).await?;
            }
            if self.stop.is_stopped() {
                self.not_run(&self.plan.suites[place + 1..]).await;
                return Ok(());
            }
            if place + 1 < self.plan.suites.len() && !self.options.keep {
                let namespaces = names_of(suite);
                let deadline = Instant::now() + self.options.sweep_within;
                sweep(self.context, &namespaces, &[], deadline).await?;
                live.retain(|pod| !suite.pods.contains(&pod));
            }
        }
        Ok(())
    }

    /// Everything of a suite but waiting: namespaces, owners, manifests, pods. Returns
    /// the answer to the last write, if the suite writes anything but its pods.
    async fn set_up(
        &self,
        suite: &SuitePlan,
        adopted: &BTreeSet<PodIndex>,
    ) -> Result<Option<Instant>, RunError> {
        stream::iter(&suite.namespaces)
            .map(|namespace| {
                self.context.create_namespace(
                    &namespace.name,
                    &namespace.labels,
                    &namespace.annotations,
                )
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?;
        for namespace in self.used_namespaces(suite) {
            self.context.create_owner(&namespace).await?;
        }
        let mut written = None;
        for (done, object) in suite.objects.iter().enumerate() {
            self.progress(Stage::Create, Some(suite), done, suite.objects.len()).await;
            written = Some(self.context.apply(object).await?.written);
        }
        self.create_pods(&suite.pods, adopted).await?;
        Ok(written)
    }

    async fn create_pods(
        &self,
        pods: &[PodIndex],
        adopted: &BTreeSet<PodIndex>,
    ) -> Result<(), RunError> {
        stream::iter(pods)
            .map(|index| async move {
                let pod = self.plan.pod(*index);
                let gate = !pod.namespace_created;
                self.context.create_pod(pod, gate, adopted.contains(index)).await
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(())
    }

    async fn ready(
        &self,
        pods: &Pods,
        suite: &SuitePlan,
        launched: &[PodIndex],
    ) -> Result<(), RunError> {
        let names = self.names(launched.iter().copied());
        let deadline = Instant::now() + self.options.launch_within;
        let ready = pods.ready(&names, deadline);
        tokio::pin!(ready);
        let mut progress = pods.progress();
        let before = self.plan.pods.len() - launched.len();
        loop {
            let done = (*progress.borrow_and_update()).saturating_sub(before.min(launched.len()));
            let done = done.min(launched.len());
            self.progress(Stage::Ready, Some(suite), done, launched.len()).await;
            tokio::select! {
                result = &mut ready => return result.map_err(RunError::NotReady),
                changed = progress.changed() => if changed.is_err() {
                    return ready.await.map_err(RunError::NotReady);
                },
            }
        }
    }

    async fn open_sessions(
        &self,
        live: &mut Live<'_>,
        launched: &[PodIndex],
        cancel: &CancellationToken,
    ) -> Result<(), RunError> {
        let deadline = Instant::now() + SESSIONS_WITHIN;
        let opening = stream::iter(launched.iter().copied())
            .map(|index| async move {
                let pod = self.plan.pod(index);
                let (namespace, name) = (&pod.namespace, &pod.name);
                let session =
                    Session::open(self.context, namespace, name, AGENT_CONTAINER, cancel.clone());
                session.opened(deadline).await.map(|()| (index, session))
            })
            .buffer_unordered(PARALLEL);
        tokio::pin!(opening);
        let mut done = 0;
        while let Some((index, session)) = opening.try_next().await? {
            live.add(index, session);
            done += 1;
            self.progress(Stage::Sessions, None, done, launched.len()).await;
        }
        Ok(())
    }

    /// What a webhook or a person made of the pods, by the server's own account.
    fn strange(&self, live: &Live<'_>, launched: &[PodIndex]) -> BTreeMap<PodIndex, String> {
        let differs = |index: &PodIndex| {
            let planned = self.plan.pod(*index);
            let differences = live.state(*index)?.differs_from(planned);
            let message = || format!("pod {}: {}", planned.name, differences.join("; "));
            (!differences.is_empty()).then(|| (*index, message()))
        };
        launched.iter().filter_map(differs).collect()
    }

    async fn first_canaries(&self, live: &Live<'_>) -> Marker {
        self.progress(Stage::Canary, None, 0, 1).await;
        let transports: BTreeSet<Transport> =
            self.plan.cases().map(|case| case.port.protocol.transport()).collect();
        let families: BTreeSet<Family> = self.plan.cases().map(|case| case.family).collect();
        let marker = Marker::new(live, &transports, &families);
        for canary in marker.before(live, self.options.timing).await {
            self.events.send(Event::Canary { canary }).await;
        }
        marker
    }

    async fn step(
        &self,
        suite: &SuitePlan,
        live: &Live<'_>,
        marker: &Marker,
        closed: &mut bool,
        written: Option<Instant>,
        strange: &BTreeMap<PodIndex, String>,
    ) -> Result<(), RunError> {
        let (bite, bitten) = watch::channel(Bite::Pending);
        let step = Step {
            context: self.context,
            live,
            suite,
            marker,
            options: self.options,
            stop: self.stop,
            events: self.events,
            origin: self.origin,
            written,
            strange,
        };
        if *closed {
            let written = self.context.delete_canary_policies(self.plan).await?;
            let opened = marker.open(live, self.options, self.stop, written, &bite);
            tokio::join!(opened, step.run(bitten));
        } else {
            let written = self.context.create_canary_policies(self.plan).await?;
            let isolated = async {
                marker.isolate(live, self.options, self.stop, written, &bite).await;
                for canary in marker.canaries() {
                    self.events.send(Event::Canary { canary }).await;
                }
            };
            tokio::join!(isolated, step.run(bitten));
        }
        *closed = !*closed;
        Ok(())
    }

    async fn not_run(&self, suites: &[SuitePlan]) {
        let because = self.stop.reason().map_or("the run ended first", cut);
        for case in suites.iter().flat_map(|suite| &suite.cases) {
            let outcome = CaseOutcome::without_rounds(Judgement::not_run(because));
            let event = Event::CaseJudged { id: case.id.clone(), outcome: Box::new(outcome) };
            self.events.send(event).await;
        }
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
            self.events.send(Event::Swept { removed: 0, left: created, kept: true }).await;
            return;
        }
        self.progress(Stage::Sweep, None, 0, 1).await;
        let used: Vec<String> = self
            .plan
            .pods
            .iter()
            .filter(|pod| !pod.namespace_created)
            .map(|pod| pod.namespace.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let deadline = Instant::now() + self.options.sweep_within;
        let event = match sweep(self.context, &created, &used, deadline).await {
            Ok(report) => Event::Swept { removed: report.removed, left: report.left, kept: false },
            Err(error) => Event::Swept { removed: 0, left: vec![error.to_string()], kept: false },
        };
        self.events.send(event).await;
    }

    async fn abort(&self, error: &RunError, touched: bool) {
        let remedy = match error {
            RunError::Cluster(error) => error.remedy(),
            _ => None,
        };
        let message = match error {
            RunError::NotReady(not_ready) => explain(not_ready),
            other => chain(other),
        };
        self.events.send(Event::Aborted { message, remedy, touched }).await;
    }

    async fn progress(&self, stage: Stage, suite: Option<&SuitePlan>, done: usize, total: usize) {
        let suite = suite.map(|suite| suite.name.clone());
        self.events.send(Event::Progress { stage, suite, done, total }).await;
    }

    fn all_pods(&self) -> impl Iterator<Item = PodIndex> + use<> {
        (0..self.plan.pods.len()).map(PodIndex)
    }

    fn is_of_a_suite(&self, pod: PodIndex) -> bool {
        self.plan.suites.iter().any(|suite| suite.pods.contains(&pod))
    }

    fn names(&self, pods: impl Iterator<Item = PodIndex>) -> Vec<(String, String)> {
        pods.map(|index| self.plan.pod(index))
            .map(|pod| (pod.namespace.clone(), pod.name.clone()))
            .collect()
    }

    fn used_namespaces(&self, suite: &SuitePlan) -> BTreeSet<String> {
        let pods = suite.pods.iter().map(|index| self.plan.pod(*index));
        pods.filter(|pod| !pod.namespace_created).map(|pod| pod.namespace.clone()).collect()
    }
}

fn names_of(suite: &SuitePlan) -> Vec<String> {
    suite.namespaces.iter().map(|namespace| namespace.name.clone()).collect()
}

/// Each pod that isn't ready, with what keeps it.
fn explain(not_ready: &NotReady) -> String {
    let mut text = not_ready.to_string();
    for pod in &not_ready.pods {
        text.push_str(&format!("\n  {}/{}: {}", pod.namespace, pod.name, pod.phase));
        for reason in &pod.reasons {
            text.push_str(&format!("\n    {reason}"));
        }
    }
    text
}

/// An error and what caused it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
