//! One run of a plan, told to writers.

use super::{
    Exit,
    exit::complain,
    leftovers,
    target::{Target, TargetArgs},
};
use crate::{
    cluster::RunContext,
    model::chain,
    plan::{self, Inputs, Plan},
    report::{self, Report, Writer, WriterError},
    run::{self, Options, Stop},
    suite::Suite,
};

/// Plans a run; says why it can't be, also where the filter leaves nothing.
pub(super) fn plan(suites: &[Suite], inputs: &Inputs) -> Result<Plan, Exit> {
    let plan = plan::build(suites, inputs).map_err(|error| {
        complain(&chain(&error), None);
        Exit::BadInput
    })?;
    if plan.cases().next().is_some() {
        return Ok(plan);
    }
    if plan.filtered_out == 0 {
        complain("no case to ask: the suites have none", None);
    } else {
        let message = format!("no case matches the filter; {} are left out", plan.filtered_out);
        complain(&message, Some(&format!("write it like an id: {}", example(suites))));
    }
    Err(Exit::BadInput)
}

/// The id of the first case, for whoever wrote a filter that fits none.
fn example(suites: &[Suite]) -> String {
    let suite = suites.iter().find(|suite| suite.all_cases().next().is_some());
    let id = suite.and_then(|suite| {
        let stepped = suite
            .steps
            .iter()
            .flat_map(|step| step.cases.iter().map(move |case| (step.name.as_str(), case)));
        let (step, case) =
            suite.cases.iter().map(|case| (crate::suite::BASE, case)).chain(stepped).next()?;
        Some(format!("{}/{step}/{}/{}/ipv4", suite.name, case.name, case.port.label))
    });
    id.unwrap_or_default()
}

/// One run of a plan.
pub(super) struct Run<'a> {
    pub(super) args: &'a TargetArgs,
    pub(super) target: &'a Target,
    pub(super) plan: &'a Plan,
    pub(super) options: &'a Options,
    pub(super) allow_system_changes: bool,
}

impl Run<'_> {
    /// Makes it, and waits until everything is written. What writers could not write is
    /// said; the report stands all the same.
    pub(super) async fn told_to(
        &self,
        writers: Vec<Box<dyn Writer + Send>>,
        stop: &Stop,
    ) -> Result<Report, Exit> {
        let Self { args, target, plan, options, allow_system_changes } = self;
        // Nobody else was ever in a sandbox of the run's own.
        if !args.sandbox {
            leftovers::put_back(&target.cluster, stop).await;
        }
        let (events, reporting) = report::channel(writers);
        let context = RunContext::new(target.cluster.clone(), plan.run.clone(), args.agent());
        if *allow_system_changes {
            context.permit_system_changes();
        }
        // Too large a future to be part of each that waits for it.
        let running = run::run(&context, plan, target.info(&plan.nodes), options, &events, stop);
        Box::pin(running).await;
        drop(events);
        match reporting.finish().await {
            Ok(finished) => {
                finished.errors.iter().for_each(complain_of);
                Ok(finished.report)
            }
            Err(error) => {
                complain(&format!("write the report: {error}"), None);
                Err(Exit::Undecided)
            }
        }
    }
}

/// Who closes a pipe has read enough; the exit code still tells.
fn complain_of(error: &WriterError) {
    if error.source.kind() != std::io::ErrorKind::BrokenPipe {
        complain(&chain(error), None);
    }
}
