//! The changes of a step, and taking them back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{error::RunError, live::Live, runner::Runner};
use crate::{
    event::{CaseOutcome, Event},
    model::Labels,
    plan::{PlannedChange, PodIndex, StepPlan, SuitePlan},
    suite::{Wait, relabelled},
    verdict::Judgement,
};

/// How long the watch may take to show a label that the server has taken.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

impl Runner<'_> {
    /// Makes a step's changes, one after another. Returns the answer to the last write, if
    /// the step writes anything.
    pub(super) async fn change(
        &self,
        suite: &SuitePlan,
        step: &StepPlan,
        live: &mut Live<'_>,
        adopted: &BTreeSet<PodIndex>,
        cancel: &CancellationToken,
    ) -> Result<Option<Instant>, RunError> {
        let mut written = None;
        for change in &step.changes {
            if self.stop.is_stopped() {
                break;
            }
            let what = self.plan.describe(change);
            let event = Event::Changed {
                suite: suite.name.clone(),
                step: step.name.clone(),
                change: what.clone(),
            };
            let made = match change {
                PlannedChange::Apply(object) => {
                    let object = self.addressed(object, live)?;
                    Some(self.context.apply_in_step(&object).await?.written)
                }
                PlannedChange::Patch { object, patch } => {
                    let mut body = patch.body().clone();
                    self.fill(&mut body, live)
                        .map_err(|message| RunError::Address { what: what.clone(), message })?;
                    Some(self.context.patch_in_step(object, &patch.with_body(body)).await?)
                }
                PlannedChange::Delete(object) => Some(self.context.delete_in_step(object).await?),
                PlannedChange::LabelNamespace { namespace, set, remove } => {
                    Some(self.context.label_namespace(namespace, set, remove).await?)
                }
                PlannedChange::LabelPods { pods, set, remove } => {
                    self.label_pods(live, pods, set, remove).await?
                }
                PlannedChange::DeletePods(pods) => self.delete_pods(live, pods).await?,
                PlannedChange::CreatePods(pods) => {
                    self.create_pods(pods, adopted).await?;
                    self.ready(&live.pods, suite, pods).await?;
                    self.open_sessions(live, pods, cancel).await?;
                    Some(Instant::now())
                }
                PlannedChange::Wait(wait) => {
                    self.wait(wait).await?;
                    None
                }
            };
            written = made.or(written);
            self.events.send(event).await;
        }
        Ok(written)
    }

    async fn label_pods(
        &self,
        live: &mut Live<'_>,
        pods: &[PodIndex],
        set: &Labels,
        remove: &BTreeSet<String>,
    ) -> Result<Option<Instant>, RunError> {
        let mut written = None;
        for index in pods {
            let pod = self.plan.pod(*index);
            let (namespace, name) = (&pod.namespace, &pod.name);
            let labels = relabelled(live.labels(*index), set, remove);
            written = Some(self.context.label_pod(namespace, name, set, remove).await?);
            let deadline = Instant::now() + SHOWN_WITHIN;
            if !live.pods.relabelled(namespace, name, &labels, deadline).await {
                return Err(RunError::Relabelled {
                    namespace: namespace.clone(),
                    pod: name.clone(),
                });
            }
            live.relabel(*index, labels);
        }
        Ok(written)
    }

    async fn delete_pods(
        &self,
        live: &mut Live<'_>,
        pods: &[PodIndex],
    ) -> Result<Option<Instant>, RunError> {
        live.retain(|pod| !pods.contains(&pod));
        let mut written = None;
        for index in pods {
            let pod = self.plan.pod(*index);
            written = Some(self.context.delete_pod(&pod.namespace, &pod.name).await?);
        }
        Ok(written)
    }

    async fn wait(&self, wait: &Wait) -> Result<(), RunError> {
        match wait {
            Wait::Time(time) => tokio::select! {
                () = tokio::time::sleep(*time) => {}
                () = self.stop.stopped() => {}
            },
            Wait::Condition { object, condition, timeout } => tokio::select! {
                met = self.context.wait_for_condition(object, condition, *timeout) => met?,
                () = self.stop.stopped() => {}
            },
        }
        Ok(())
    }

    /// Tells the cases of steps that are not reached, because a change before them failed.
    pub(super) async fn not_changed(&self, steps: &[StepPlan], error: &RunError) {
        let name = steps.first().map(|step| step.name.as_str()).unwrap_or_default();
        let because = format!("step {name}: {}", error.explain());
        let (message, remedy) = (because.clone(), error.remedy());
        self.events.send(Event::Warning { message, remedy }).await;
        for case in steps.iter().flat_map(|step| &step.cases) {
            let judgement = Judgement::not_changed(because.clone());
            let outcome = Box::new(CaseOutcome::without_rounds(judgement));
            self.events.send(Event::CaseJudged { id: case.id.clone(), outcome }).await;
        }
    }

    /// Takes back what steps have changed of objects that aren't the run's own.
    pub(super) async fn undo(&self) {
        if !self.context.has_changes_to_undo() {
            return;
        }
        let undone = self.context.undo().await;
        let event =
            Event::Undone { restored: undone.restored, kept: undone.kept, failed: undone.failed };
        self.events.send(event).await;
    }
}
