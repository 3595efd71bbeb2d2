//! Launching: namespaces, manifests, pods, readiness, sessions.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{error::RunError, live::Live, runner::Runner};
use crate::{
    cluster::{AGENT_CONTAINER, Pods, Session},
    event::Stage,
    model::Family,
    plan::{PlannedObject, PodIndex, Role, SuitePlan},
    suite::{fill_addresses, waits_for_addresses},
};

/// Creations under way at once.
const PARALLEL: usize = 16;

/// How long agents may take to say hello once their pods are ready.
const SESSIONS_WITHIN: Duration = Duration::from_secs(30);

impl Runner<'_> {
    /// Everything of a suite but waiting: namespaces, owners, manifests, pods. Returns
    /// the answer to the last write, if the suite writes anything but its pods.
    pub(super) async fn set_up(
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
            if waits_for_addresses(&object.object) {
                continue;
            }
            self.progress(Stage::Create, Some(suite), done, suite.objects.len()).await;
            written = Some(self.context.apply(object).await?.written);
        }
        self.create_pods(&suite.first_pods(), adopted).await?;
        Ok(written)
    }

    /// Applies what holds addresses of pods, which run by now.
    pub(super) async fn set_up_addresses(
        &self,
        suite: &SuitePlan,
        live: &Live<'_>,
    ) -> Result<Option<Instant>, RunError> {
        let mut written = None;
        for object in &suite.objects {
            if waits_for_addresses(&object.object) {
                let object = self.addressed(object, live)?;
                written = Some(self.context.apply(&object).await?.written);
            }
        }
        Ok(written)
    }

    /// The object with the addresses that its pods have.
    pub(super) fn addressed(
        &self,
        planned: &PlannedObject,
        live: &Live<'_>,
    ) -> Result<PlannedObject, RunError> {
        let mut object = planned.object.clone();
        self.fill(&mut object, live).map_err(|message| RunError::Address {
            what: format!("apply {}", planned.source),
            message,
        })?;
        Ok(PlannedObject { object, ..planned.clone() })
    }

    /// Writes addresses in the place of references to pods.
    pub(super) fn fill(
        &self,
        value: &mut serde_json::Value,
        live: &Live<'_>,
    ) -> Result<(), String> {
        let address = |name: &str, family: Option<Family>| {
            let pod = self.plan.pods.iter().position(|pod| pod.name == name).map(PodIndex)?;
            match family {
                Some(family) => live.address(pod, family),
                None => live.state(pod)?.addresses.first().copied(),
            }
        };
        fill_addresses(value, &address)
    }

    pub(super) async fn create_pods(
        &self,
        pods: &[PodIndex],
        adopted: &BTreeSet<PodIndex>,
    ) -> Result<(), RunError> {
        stream::iter(pods)
            .map(|index| async move {
                let pod = self.plan.pod(*index);
                // A guest, or a copy that a Service must not count among its backends.
                let gate = !pod.namespace_created || matches!(pod.role, Role::StandIn { .. });
                self.context.create_pod(pod, gate, adopted.contains(index)).await
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(())
    }

    pub(super) async fn ready(
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

    pub(super) async fn open_sessions(
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

    /// Namespaces that the suite's pods and objects are guests in.
    pub(super) fn used_namespaces(&self, suite: &SuitePlan) -> BTreeSet<String> {
        let pods = suite.pods.iter().map(|index| self.plan.pod(*index));
        let pods = pods.filter(|pod| !pod.namespace_created).map(|pod| pod.namespace.as_str());
        pods.chain(suite.foreign_namespaces()).map(str::to_owned).collect()
    }
}
