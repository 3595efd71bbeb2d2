//! What a run leaves: nothing, unless it is told to.

use std::{collections::BTreeSet, time::Instant};

use super::{error::RunError, runner::Runner};
use crate::{
    cluster::sweep,
    event::{Event, Stage},
    plan::SuitePlan,
};

impl Runner<'_> {
    /// Makes room for the next suite, which must not meet this one's policies.
    pub(super) async fn sweep_suite(&self, suite: &SuitePlan) -> Result<(), RunError> {
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

    /// Removes what the run has created, and puts back what it has changed.
    pub(super) async fn sweep(&self) {
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
}

fn names_of(suite: &SuitePlan) -> Vec<String> {
    suite.namespaces.iter().map(|namespace| namespace.name.clone()).collect()
}
