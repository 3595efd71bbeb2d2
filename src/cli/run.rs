//! `netproof run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use rand::RngExt;

use super::{
    Exit, check,
    exit::complain,
    manifests,
    nodes::{self, Refusal},
    sandbox, signals,
};
use crate::{
    cluster::{AgentSettings, Application, Cluster, Kubeconfig, RunContext},
    event::{ClusterInfo, Interruption},
    model::{Family, RunId, chain},
    plan::{self, Filter, Inputs, Pattern, Plan},
    report::{
        self, FileFormat, FileWriter, JsonWriter, ProgressWriter, QuietWriter, TextWriter, Writer,
    },
    run::{self, Options, Stop},
    sandbox::{fault::Fault, process::Sandbox},
    suite::Suite,
};

/// Ask a suite's questions and judge the answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof run --sandbox suites/shop.yaml
  netproof run --sandbox --fault ignore-egress suites/shop.yaml
  helm template shop ./chart | netproof run --sandbox --manifests - suites/shop.yaml
  netproof run --context staging --filter 'shop/*/database*' suites/shop.yaml
  netproof run --report junit=report.xml --context staging suites/shop.yaml
  netproof run --output json suites/shop.yaml | jq 'select(.type == \"caseJudged\")'

Exit codes, the first that applies:
  130 interrupted                       1 a claim failed
  2 bad input, or nothing ran           3 could not tell, or incomplete
  4 the CNI does not enforce            0 all passed")]
pub(super) struct RunCommand {
    /// Suites; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Run in a sandbox of its own instead of a cluster.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    sandbox: bool,
    /// Break the sandbox on purpose: enforce-nothing, ignore-ingress, ignore-egress,
    /// delay=8s, loss=10%, dead-path, reject. May be given several times.
    #[arg(long = "fault", value_name = "FAULT", requires = "sandbox")]
    faults: Vec<Fault>,
    /// How many nodes the sandbox has [default: 2].
    #[arg(long = "nodes", value_name = "NUMBER", requires = "sandbox",
          value_parser = sandbox::nodes())]
    sandbox_nodes: Option<u8>,

    /// Bring an application's manifests into the sandbox first: a file, a folder, or `-`
    /// for standard input. May be given several times. Its containers are stand-ins.
    #[arg(long = "manifests", value_name = "PATH", requires = "sandbox")]
    manifests: Vec<PathBuf>,

    /// The kubeconfig; else $KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; else its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Put control pods into this existing namespace instead of a new one.
    #[arg(long, value_name = "NAMESPACE")]
    control_namespace: Option<String>,
    /// Place probe pods on this node; may be given several times. Else on two of the
    /// cluster's.
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
    /// The probe image, as `netproof image save` names it.
    #[arg(long, value_name = "REFERENCE", default_value = DEFAULT_IMAGE)]
    image: String,
    /// When the cluster pulls the probe image.
    #[arg(long, value_name = "POLICY", value_enum, default_value = "if-not-present")]
    image_pull_policy: PullPolicy,

    /// Only cases whose id contains this text, or matches it with `*`; `!` leaves out.
    /// May be given several times.
    #[arg(long = "filter", value_name = "PATTERN")]
    filters: Vec<Pattern>,
    /// End after the first failed case.
    #[arg(long)]
    fail_fast: bool,
    /// Leave everything in place, for a look; `netproof cleanup` removes it.
    #[arg(long, conflicts_with = "sandbox")]
    keep: bool,
    /// End the run after this time; what hasn't settled by then is inconclusive or not run.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    deadline: Option<Duration>,
    /// How long the CNI may take to isolate netproof's own canaries.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    canary_within: Duration,
    /// How long probe pods, and the workloads of `--manifests`, may take to become ready.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2m")]
    launch_within: Duration,
    /// New connections a second on each node, at most; 0 is no limit
    /// [default: 2000, in the sandbox 0].
    #[arg(long, value_name = "CONNECTIONS")]
    rate: Option<u32>,

    /// Let steps change what belongs to the cluster itself: objects in kube-* namespaces, and
    /// cluster-scoped ones. They are put back at the end, as all others are.
    #[arg(long)]
    allow_system_changes: bool,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Write a report to a file, too: junit=PATH or json=PATH. May be given several times.
    /// The file is whole or not there; a run that was cut is marked in it.
    #[arg(long = "report", value_name = "KIND=PATH")]
    reports: Vec<ReportFile>,
}

/// A report in a file.
#[derive(Clone, Debug)]
struct ReportFile {
    format: FileFormat,
    path: PathBuf,
}

impl std::str::FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = match text.split_once('=').map(|(kind, path)| (kind, path.is_empty())) {
            Some(("junit", false)) => FileFormat::Junit,
            Some(("json", false)) => FileFormat::Json,
            _ => return Err("write it as junit=PATH or json=PATH".to_owned()),
        };
        let path = text.split_once('=').map(|(_, path)| PathBuf::from(path)).unwrap_or_default();
        Ok(Self { format, path })
    }
}

/// What stands on standard output.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A table and what a person needs to know.
    Text,
    /// Every event as a line of JSON.
    Json,
    /// The last line only.
    Quiet,
}

/// `imagePullPolicy`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// The image that `netproof image save` writes.
const DEFAULT_IMAGE: &str = concat!("netproof-probe:", env!("CARGO_PKG_VERSION"));

/// The kubelet ends a forgotten pod after this, and the agent itself after less.
const ACTIVE_DEADLINE: Duration = Duration::from_secs(4 * 3600);
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// Nodes that pods are spread over.
const NODES: usize = 2;

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration; write it as 30s, 5m or 1h30m"))
}

/// The id of the first case, for whoever wrote a filter that fits none.
fn example(suites: &[Suite]) -> String {
    let suite = suites.iter().find(|suite| !suite.cases.is_empty());
    let id = suite.map(|suite| {
        let case = &suite.cases[0];
        format!("{}/base/{}/{}/ipv4", suite.name, case.name, case.port.label)
    });
    id.unwrap_or_default()
}

impl RunCommand {
    pub async fn run(self: Box<Self>) -> Exit {
        let suites = match check::load(&self.files) {
            Ok(suites) => suites,
            Err(mistakes) => {
                check::print(&mistakes);
                return Exit::BadInput;
            }
        };
        let application = match self.application() {
            Ok(application) => application,
            Err(message) => {
                complain(&message, Some("give what `helm template` or `kubectl kustomize` print"));
                return Exit::BadInput;
            }
        };
        let Some(writers) = self.writers() else { return Exit::BadInput };
        let stop = Stop::new();
        if let Err(error) = signals::watch(stop.clone()) {
            complain(&format!("listen for signals: {error}"), None);
            return Exit::Undecided;
        }
        if let Some(deadline) = self.deadline {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                stop.stop(Interruption::Deadline);
            });
        }
        let sandbox = if self.sandbox {
            let Some(sandbox) = sandbox::start(self.sandbox_nodes, self.faults.clone()).await
            else {
                return Exit::Undecided;
            };
            Some(sandbox)
        } else {
            None
        };
        let exit = self.on_cluster(&suites, sandbox.as_ref(), &application, writers, &stop).await;
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        exit
    }

    /// What `--manifests` names.
    fn application(&self) -> Result<Application, String> {
        let from_stdin =
            |paths: &[PathBuf]| paths.iter().filter(|path| path.as_os_str() == "-").count();
        if from_stdin(&self.files) + from_stdin(&self.manifests) > 1 {
            return Err("standard input can be read once: either manifests or a suite".to_owned());
        }
        manifests::read(&self.manifests)
    }

    async fn on_cluster(
        &self,
        suites: &[Suite],
        sandbox: Option<&Sandbox>,
        application: &Application,
        writers: Vec<Box<dyn Writer + Send>>,
        stop: &Stop,
    ) -> Exit {
        let from = match (sandbox, &self.kubeconfig) {
            (Some(sandbox), _) => Kubeconfig::Text(sandbox.kubeconfig().to_owned()),
            (None, Some(file)) => Kubeconfig::File(file.clone()),
            (None, None) => Kubeconfig::Default,
        };
        let cluster = match Cluster::connect(&from, self.context.as_deref()).await {
            Ok(cluster) => cluster,
            Err(error) => {
                complain(&chain(&error), error.remedy());
                return Exit::BadInput;
            }
        };
        let mut notes = Vec::new();
        if !application.is_empty() {
            match manifests::bring(&cluster, application, self.launch_within, stop).await {
                Ok(found) => notes = found,
                Err(exit) => return exit,
            }
        }
        let asked = async {
            let version = cluster.version().await.map_err(|error| Refusal::of(&error))?;
            let control = self.control_namespace.as_deref();
            let nodes = nodes::choose(&cluster, suites, &self.nodes, control).await?;
            Ok((version, nodes))
        };
        let (version, nodes) = match asked.await {
            Ok(answers) => answers,
            Err(Refusal { message, remedy, exit }) => {
                let whom = format!("context {} at {}", cluster.context(), cluster.server());
                complain(&format!("{whom}: {message}"), remedy.as_deref());
                return exit;
            }
        };
        let plan = match self.plan(suites, nodes) {
            Ok(plan) => plan,
            Err(error) => {
                complain(&chain(&error), None);
                return Exit::BadInput;
            }
        };
        if plan.cases().next().is_none() {
            let message = format!("no case matches the filter; {} are left out", plan.filtered_out);
            complain(&message, Some(&format!("write it like an id: {}", example(suites))));
            return Exit::BadInput;
        }
        let info = ClusterInfo {
            context: cluster.context().to_owned(),
            server: cluster.server().to_owned(),
            version,
            nodes: plan.nodes.clone(),
        };
        let (events, reporting) = report::channel(writers);
        let context = RunContext::new(cluster, plan.run.clone(), self.agent());
        if self.allow_system_changes {
            context.permit_system_changes();
        }
        let options = Options { notes, ..self.options() };
        run::run(&context, &plan, info, &options, &events, stop).await;
        drop(events);
        match reporting.finish().await {
            Ok(finished) => {
                // Who closes a pipe has read enough; the exit code still tells.
                let closed = |error: &&report::WriterError| {
                    error.source.kind() == std::io::ErrorKind::BrokenPipe
                };
                for error in finished.errors.iter().filter(|error| !closed(error)) {
                    complain(&chain(error), None);
                }
                Exit::of(&finished.report)
            }
            Err(error) => {
                complain(&format!("write the report: {error}"), None);
                Exit::Undecided
            }
        }
    }

    fn plan(&self, suites: &[Suite], nodes: Vec<plan::Node>) -> Result<Plan, plan::PlanError> {
        let inputs = Inputs {
            run: RunId::from_random(rand::rng().random()),
            nodes,
            families: vec![Family::Ipv4],
            control_namespace: self.control_namespace.clone(),
            filter: Filter::from(self.filters.clone()),
            max_nodes: self.nodes.len().max(NODES),
        };
        plan::build(suites, &inputs)
    }

    fn agent(&self) -> AgentSettings {
        let key: [u8; 32] = rand::rng().random();
        let policy = match self.image_pull_policy {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        };
        AgentSettings {
            image: self.image.clone(),
            pull_policy: Some(policy.to_owned()),
            key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            idle_limit: IDLE_LIMIT,
            active_deadline: ACTIVE_DEADLINE,
        }
    }

    fn options(&self) -> Options {
        let base = if self.sandbox { Options::for_sandbox() } else { Options::for_cluster() };
        let rate = match self.rate {
            None => base.rate,
            Some(0) => None,
            Some(rate) => Some(rate),
        };
        Options {
            canary_within: self.canary_within,
            launch_within: self.launch_within,
            rate,
            fail_fast: self.fail_fast,
            keep: self.keep,
            ..base
        }
    }

    /// What the run is told to. `None` if a file can't be written, which was said.
    fn writers(&self) -> Option<Vec<Box<dyn Writer + Send>>> {
        let mut writers: Vec<Box<dyn Writer + Send>> = Vec::new();
        match self.output {
            Output::Text => {
                let width = terminal_size::terminal_size_of(std::io::stdout())
                    .map(|(width, _)| usize::from(width.0));
                writers.push(Box::new(ProgressWriter::new()));
                writers.push(Box::new(TextWriter::new(anstream::stdout(), width)));
            }
            Output::Json => writers.push(Box::new(JsonWriter::new(std::io::stdout()))),
            Output::Quiet => writers.push(Box::new(QuietWriter::new(std::io::stdout()))),
        }
        for ReportFile { format, path } in &self.reports {
            match FileWriter::create(*format, path) {
                Ok(writer) => writers.push(Box::new(writer)),
                Err(error) => {
                    let remedy = "name a file in a folder that exists and that you may write to";
                    complain(
                        &format!("write the {format} report {}: {error}", path.display()),
                        Some(remedy),
                    );
                    return None;
                }
            }
        }
        Some(writers)
    }
}
