//! `netproof plan`: what a run would create and ask, with nothing done.

mod json;
mod text;

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    Exit, check, execute,
    exit::{complain, warn},
    output, sandbox_objects, signals,
    target::{Target, TargetArgs},
};
use crate::{
    cluster::{Application, RunContext, Severity, preflight},
    event::ClusterInfo,
    model::chain,
    plan::{Inputs, Node, Pattern},
    suite::{Peer, Suite},
};

/// Say what a run would create and ask. Nothing is created, changed or asked.
///
/// Where a cluster can be reached its nodes are looked at; else two nodes are assumed.
/// Names hold the run's id, which each run draws anew: it is written RUN_ID.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof plan suites/shop.yaml                       from the cluster, where there is one
  netproof plan --offline suites/shop.yaml             from the suite alone
  netproof plan --filter 'shop/*/dns*' suites/shop.yaml       which pods would that need?
  netproof plan --preflight --context staging suites/shop.yaml     what would refuse it?
  netproof plan --output json suites/shop.yaml | jq -r '.suites[].cases[].id'

Exit codes:
  0 here it is      2 bad input, or preflight would refuse it      3 the cluster doesn't answer")]
pub(super) struct PlanCommand {
    /// Suites; `-` is standard input.
    #[arg(required = true, value_name = "SUITE")]
    files: Vec<PathBuf>,
    /// Look at no cluster: two nodes are assumed, and those that peers ask for.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "in_cluster", "preflight"])]
    offline: bool,
    /// Ask the cluster, too, whether it would admit all of this: permissions, quotas, Pod
    /// Security, and who would select the probe pods. By dry runs, which change nothing.
    #[arg(long, conflicts_with = "sandbox")]
    preflight: bool,
    /// Only cases whose id contains this text, or matches it with `*`; `!` leaves out.
    /// May be given several times.
    #[arg(long = "filter", value_name = "PATTERN")]
    filters: Vec<Pattern>,
    /// What is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Stands for the run's id, which nobody knows beforehand. No word of six z is likely to be
/// part of a name.
const UNKNOWN: &str = "zzzzzz";
/// What is shown in its place: as long, so that columns stay in line, and no part of a name.
const SHOWN: &str = "RUN_ID";

/// Nodes that are assumed where no cluster is looked at.
const ASSUMED: u8 = 2;

impl PlanCommand {
    pub(super) async fn run(self: Box<Self>) -> Exit {
        self.tried().await.unwrap_or_else(|exit| exit)
    }

    async fn tried(&self) -> Result<Exit, Exit> {
        let suites = check::load_or_say(&self.files)?;
        let target = self.look(&suites).await?;
        let suites = match &target {
            Some(target) => sandbox_objects::leave_out(&target.cluster, suites).await?,
            None => suites,
        };
        let mut inputs = match &target {
            Some(target) => self.target.inputs(target, &suites, &self.filters).await?,
            None => {
                let families = self.target.assumed_families(&suites);
                self.target.inputs_on(self.assumed(&suites), families, &self.filters)
            }
        };
        if let Ok(run) = UNKNOWN.parse() {
            inputs.run = run;
        }
        let plan = execute::plan(&suites, &inputs)?;
        let info = target.as_ref().map(|target| target.info(&plan.nodes));
        let printed = match self.output {
            Output::Text => {
                let width = output::width().unwrap_or(usize::MAX);
                text::plan(&plan, &suites, info.as_ref(), width)
            }
            Output::Json => format!("{:#}\n", json::plan(&plan, info.as_ref())),
        };
        // A closed pipe is the reader's choice.
        let _ = write!(anstream::stdout(), "{}", printed.replace(UNKNOWN, SHOWN));
        match &target {
            Some(target) if self.preflight => self.preflighted(target, &suites, inputs).await,
            _ => Ok(Exit::Passed),
        }
    }

    /// The cluster, where one can be reached; who names one wants that one.
    async fn look(&self, suites: &[Suite]) -> Result<Option<Target>, Exit> {
        if self.offline || self.target.sandbox {
            return Ok(None);
        }
        if !self.target.way.names_one() && !self.preflight {
            let found = self.target.way.try_connect().await;
            let answers = match &found {
                Ok(cluster) => cluster.version().await.map_err(|error| chain(&error)),
                Err(error) => Err(chain(error)),
            };
            if let Err(why) = answers {
                warn(&format!("no cluster is looked at: {why}"), Some("--offline says so"));
                return Ok(None);
            }
        }
        let stop = signals::stop()?;
        self.target.open(suites, &Application::default(), &stop).await.map(Some)
    }

    /// Nodes for a plan without a cluster: two, or the sandbox's, and one for each set of
    /// labels that a peer asks for.
    fn assumed(&self, suites: &[Suite]) -> Vec<Node> {
        let count = self.target.sandbox_nodes().unwrap_or(ASSUMED);
        let plain = (1..=count).map(|_| BTreeMap::new());
        let peers = suites.iter().flat_map(|suite| suite.peers.values());
        let mut asked: Vec<BTreeMap<String, String>> = Vec::new();
        for labels in peers.filter_map(|peer| match peer {
            Peer::Pod(pod) => pod.node.clone(),
            _ => None,
        }) {
            if !asked.contains(&labels) {
                asked.push(labels);
            }
        }
        let all = plain.chain(asked).enumerate();
        all.map(|(place, labels)| Node { name: format!("node-{}", place + 1), labels }).collect()
    }

    /// Says what preflight finds: everything that it would say before a run.
    async fn preflighted(
        &self,
        target: &Target,
        suites: &[Suite],
        inputs: Inputs,
    ) -> Result<Exit, Exit> {
        // By a real id, because names are looked for in the cluster.
        let families = (inputs.families, inputs.services);
        let inputs = self.target.inputs_on(inputs.nodes, families, &self.filters);
        let plan = execute::plan(suites, &inputs)?;
        let context =
            RunContext::new(target.cluster.clone(), plan.run.clone(), self.target.agent());
        let found = preflight(&context, &plan).await.map_err(|error| {
            complain(&format!("preflight: {}", chain(&error)), error.remedy().as_deref());
            Exit::Undecided
        })?;
        let mut exit = Exit::Passed;
        for finding in &found.findings {
            let message = finding.message.replace(plan.run.as_str(), SHOWN);
            match finding.severity {
                Severity::Refuse => {
                    complain(&message, finding.remedy.as_deref());
                    exit = Exit::BadInput;
                }
                Severity::Warn => warn(&message, finding.remedy.as_deref()),
            }
        }
        if found.findings.is_empty() {
            let _ = writeln!(anstream::stderr(), "preflight: nothing stands in its way");
        }
        Ok(exit)
    }
}

/// Where the plan comes from, in a line.
fn origin(info: Option<&ClusterInfo>, nodes: &[String]) -> String {
    let nodes = nodes.join(", ");
    match info {
        Some(info) => {
            format!("context {} · {} · {} · {nodes}", info.context, info.server, info.version)
        }
        None => format!("no cluster looked at, assumed: {nodes}"),
    }
}
