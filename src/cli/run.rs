//! `netproof run`.

use std::{
    io::Write,
    num::NonZeroU32,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use rand::RngExt;

use super::{
    Exit, check, execute,
    output::{Output, OutputArgs},
    sandbox_objects, signals,
    target::{Target, TargetArgs, duration},
};
use crate::{
    event::{Interruption, Repetition},
    model::RunId,
    plan::{Pattern, Plan},
    report::{Repetitions, ReportFile},
    run::{Options, Stop},
    suite::Suite,
};

/// Ask a suite's questions and judge the answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof run --sandbox suites/shop.yaml                   on this machine, no cluster
  netproof run --sandbox --fault ignore-egress suites/shop.yaml      see a broken CNI
  helm template shop ./chart | netproof run --sandbox --manifests - suites/shop.yaml
  netproof run --context staging --filter 'shop/*/database*' suites/shop.yaml
  netproof run --report junit=report.xml --context staging suites/shop.yaml
  netproof run --until-fail --deadline 1h --context staging suites/shop.yaml
  netproof run --output json suites/shop.yaml | jq 'select(.type == \"caseJudged\")'

Exit codes, the first that applies; of several repetitions the first that any has:
  130 interrupted                       1 a claim failed
  2 bad input, or nothing ran           3 could not tell, or incomplete
  4 the CNI does not enforce            0 all passed")]
pub(super) struct RunCommand {
    /// Suites; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Only cases whose id contains this text, or matches it with `*`; `!` leaves out.
    /// May be given several times.
    #[arg(long = "filter", value_name = "PATTERN")]
    filters: Vec<Pattern>,
    /// End after the first failed case.
    #[arg(long)]
    fail_fast: bool,
    /// Run this often, everything made anew each time; the report has each repetition.
    #[arg(long, value_name = "NUMBER")]
    repeat: Option<NonZeroU32>,
    /// Run until a repetition doesn't pass; with --repeat no more often than that.
    #[arg(long)]
    until_fail: bool,
    /// End the run after this time, with all its repetitions; what hasn't settled by then
    /// is inconclusive or not run. With --until-fail alone no repetition begins after it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    deadline: Option<Duration>,
    /// Leave everything in place, for a look; `netproof cleanup` removes it.
    #[arg(long, conflicts_with_all = ["sandbox", "repeat", "until_fail"])]
    keep: bool,
    /// Let steps change what belongs to the cluster itself: objects in kube-* namespaces, and
    /// cluster-scoped ones. They are put back at the end, as all others are.
    #[arg(long)]
    allow_system_changes: bool,

    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl RunCommand {
    pub async fn run(self: Box<Self>) -> Exit {
        self.tried().await.unwrap_or_else(|exit| exit)
    }

    async fn tried(&self) -> Result<Exit, Exit> {
        let suites = check::load_or_say(&self.files)?;
        let application = self.target.application(&self.files)?;
        let files = self.output.files().ok_or(Exit::BadInput)?;
        let stop = signals::stop()?;
        if let Some(deadline) = self.deadline.filter(|_| self.repetitions() != Some(None)) {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                stop.stop(Interruption::Deadline);
            });
        }
        let target = self.target.open(&suites, &application, &stop).await?;
        let exit = self.on_target(suites, &target, &files, &stop).await;
        target.close().await;
        exit
    }

    async fn on_target(
        &self,
        suites: Vec<Suite>,
        target: &Target,
        files: &[ReportFile],
        stop: &Stop,
    ) -> Result<Exit, Exit> {
        let suites = sandbox_objects::leave_out(&target.cluster, suites).await?;
        let mut inputs = self.target.inputs(target, &suites, &self.filters).await?;
        let Some(of) = self.repetitions() else {
            let plan = execute::plan(&suites, &inputs)?;
            // A large suite needn't be kept beside its plan.
            drop((suites, inputs));
            let (exit, _) = self.once(plan, target, None, files, stop).await?;
            return Ok(exit);
        };
        let begun = Instant::now();
        let goes_on = |count: u32| match of {
            Some(of) => count < of,
            None => self.deadline.is_none_or(|deadline| begun.elapsed() < deadline),
        };
        let mut all = Repetitions::default();
        let mut exit = Exit::Passed;
        while goes_on(all.count()) && !stop.is_stopped() {
            // Nothing of one repetition may be taken for another's.
            inputs.run = RunId::from_random(rand::rng().random());
            let repetition = Some(Repetition { number: all.count() + 1, of });
            let plan = execute::plan(&suites, &inputs)?;
            let (this, report) = self.once(plan, target, repetition, files, stop).await?;
            all.add(&report);
            exit = exit.graver(this);
            if self.until_fail && this != Exit::Passed {
                break;
            }
            self.blank();
        }
        match stop.reason() {
            Some(Interruption::Signal) => exit = exit.graver(Exit::Interrupted),
            // One that came within a run is in its exit code already.
            Some(Interruption::Deadline) if of.is_some_and(|of| all.count() < of) => {
                exit = exit.graver(Exit::Undecided);
            }
            _ => {}
        }
        if self.output.output != Output::Json {
            let _ = write!(anstream::stdout(), "{}", all.summary(of));
        }
        Ok(exit)
    }

    /// How often it is run: once (`None`), so often, or until one fails (`Some(None)`).
    fn repetitions(&self) -> Option<Option<u32>> {
        match self.repeat {
            Some(number) => Some(Some(number.get())),
            None if self.until_fail => Some(None),
            None => None,
        }
    }

    fn blank(&self) {
        if self.output.output == Output::Text {
            let _ = writeln!(anstream::stdout());
        }
    }

    async fn once(
        &self,
        plan: Plan,
        target: &Target,
        repetition: Option<Repetition>,
        files: &[ReportFile],
        stop: &Stop,
    ) -> Result<(Exit, crate::report::Report), Exit> {
        let options = Options {
            notes: target.notes.clone(),
            fail_fast: self.fail_fast,
            keep: self.keep,
            repetition,
            ..self.target.options()
        };
        let run = execute::Run {
            args: &self.target,
            target,
            plan: &plan,
            options: &options,
            allow_system_changes: self.allow_system_changes,
        };
        let report = run.told_to(self.output.writers(files), stop).await?;
        Ok((Exit::of(&report), report))
    }
}
