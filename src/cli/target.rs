//! Where a run takes place: a cluster, or a sandbox of its own.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use rand::RngExt;

use super::{
    Exit,
    exit::complain,
    families, manifests,
    nodes::{self, Refusal},
    sandbox,
};
use crate::{
    cluster::{AgentSettings, Application, Cluster, ConnectError, Kubeconfig},
    event::ClusterInfo,
    model::{RunId, chain},
    plan::{Filter, Inputs, Node, Pattern},
    run::{Options, Stop},
    sandbox::{fault::Fault, layout::IpFamily, process::Sandbox},
    suite::Suite,
};

/// Where a run takes place, and how its pods are started there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it runs")]
pub(super) struct TargetArgs {
    /// Run in a sandbox of its own instead of a cluster.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "in_cluster"])]
    pub(super) sandbox: bool,
    /// Break the sandbox on purpose: enforce-nothing, ignore-ingress, ignore-egress,
    /// delay=8s, loss=10%, dead-path, reject. May be given several times.
    #[arg(long = "fault", value_name = "FAULT", requires = "sandbox")]
    faults: Vec<Fault>,
    /// How many nodes the sandbox has [default: 2].
    #[arg(long = "nodes", value_name = "NUMBER", requires = "sandbox",
          value_parser = sandbox::nodes())]
    sandbox_nodes: Option<u8>,

    /// Which IP families to ask in, and the sandbox has: ipv4, ipv6 or dual [default: those
    /// of the cluster; of a sandbox ipv4, and dual where a suite or a fault names IPv6].
    #[arg(long, value_name = "FAMILY")]
    ip_family: Option<IpFamily>,

    /// Bring an application's manifests into the sandbox first: a file, a folder, or `-`
    /// for standard input. May be given several times. Its containers are stand-ins.
    #[arg(long = "manifests", value_name = "PATH", requires = "sandbox")]
    manifests: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) way: WayArgs,
    /// Put control pods into this existing namespace instead of a new one.
    #[arg(long, value_name = "NAMESPACE")]
    pub(super) control_namespace: Option<String>,
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
}

/// The way to a cluster.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WayArgs {
    /// The kubeconfig; else $KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; else its current one.
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Use the service account of the pod that netproof runs in, and no kubeconfig.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    pub(super) in_cluster: bool,
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

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration; write it as 30s, 5m or 1h30m"))
}

/// A cluster that answers.
pub(super) struct Target {
    pub(super) cluster: Cluster,
    version: String,
    /// What a report should say of it.
    pub(super) notes: Vec<String>,
    sandbox: Option<Sandbox>,
}

impl WayArgs {
    /// Where the way is written.
    pub(super) fn kubeconfig(&self) -> Kubeconfig {
        match &self.kubeconfig {
            Some(file) => Kubeconfig::File(file.clone()),
            None if self.in_cluster => Kubeconfig::InCluster,
            None => Kubeconfig::Default,
        }
    }

    /// Whether a cluster was asked for by name.
    pub(super) fn names_one(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || self.in_cluster
    }

    /// Makes a client; nothing is sent yet.
    pub(super) async fn try_connect(&self) -> Result<Cluster, ConnectError> {
        Cluster::connect(&self.kubeconfig(), self.context.as_deref()).await
    }

    /// As [`Self::try_connect`]; says why it can't.
    pub(super) async fn connect(&self) -> Result<Cluster, Exit> {
        connect(&self.kubeconfig(), self.context.as_deref()).await
    }
}

async fn connect(from: &Kubeconfig, context: Option<&str>) -> Result<Cluster, Exit> {
    Cluster::connect(from, context).await.map_err(|error| {
        complain(&chain(&error), error.remedy());
        Exit::BadInput
    })
}

impl TargetArgs {
    /// What `--manifests` names. `files` are the suites, one of which may be standard input.
    pub(super) fn application(&self, files: &[PathBuf]) -> Result<Application, Exit> {
        let from_stdin =
            |paths: &[PathBuf]| paths.iter().filter(|path| path.as_os_str() == "-").count();
        let read = if from_stdin(files) + from_stdin(&self.manifests) > 1 {
            Err("standard input can be read once: either manifests or a suite".to_owned())
        } else {
            manifests::read(&self.manifests)
        };
        read.map_err(|message| {
            complain(&message, Some("give what `helm template` or `kubectl kustomize` print"));
            Exit::BadInput
        })
    }

    /// How many nodes the sandbox is to have, where that was said.
    pub(super) fn sandbox_nodes(&self) -> Option<u8> {
        self.sandbox_nodes
    }

    /// Starts the sandbox, if one is asked for, connects, and brings the application.
    pub(super) async fn open(
        &self,
        suites: &[Suite],
        application: &Application,
        stop: &Stop,
    ) -> Result<Target, Exit> {
        let mut left_out = None;
        let sandbox = if self.sandbox {
            let family = self.sandbox_family(suites);
            left_out = families::left_out(family);
            let started = sandbox::start(self.sandbox_nodes, self.faults.clone(), family).await;
            Some(started.ok_or(Exit::Undecided)?)
        } else {
            None
        };
        match self.reach(sandbox.as_ref(), application, stop).await {
            Ok((cluster, version, mut notes)) => {
                notes.extend(left_out);
                Ok(Target { cluster, version, notes, sandbox })
            }
            Err(exit) => {
                if let Some(sandbox) = sandbox {
                    sandbox.stop().await;
                }
                Err(exit)
            }
        }
    }

    async fn reach(
        &self,
        sandbox: Option<&Sandbox>,
        application: &Application,
        stop: &Stop,
    ) -> Result<(Cluster, String, Vec<String>), Exit> {
        let from = match sandbox {
            Some(sandbox) => Kubeconfig::Text(sandbox.kubeconfig().to_owned()),
            None => self.way.kubeconfig(),
        };
        let cluster = connect(&from, self.way.context.as_deref()).await?;
        let notes = if application.is_empty() {
            Vec::new()
        } else {
            manifests::bring(&cluster, application, self.launch_within, stop).await?
        };
        match cluster.version().await {
            Ok(version) => Ok((cluster, version, notes)),
            Err(error) => Err(refuse(&cluster, &Refusal::of(&error))),
        }
    }

    /// What a plan is made from, for the suites on this target; the run is a new one.
    pub(super) async fn inputs(
        &self,
        target: &Target,
        suites: &[Suite],
        filters: &[Pattern],
    ) -> Result<Inputs, Exit> {
        let control = self.control_namespace.as_deref();
        let nodes = nodes::choose(&target.cluster, suites, &self.nodes, control).await;
        let nodes = nodes.map_err(|refusal| refuse(&target.cluster, &refusal))?;
        let families = families::of_cluster(&target.cluster, suites, self.ip_family).await;
        Ok(self.inputs_on(nodes, families, filters))
    }

    /// The families of a sandbox for these suites.
    fn sandbox_family(&self, suites: &[Suite]) -> IpFamily {
        families::of_sandbox(self.ip_family, suites, &self.faults)
    }

    /// The families of a cluster that nobody looks at.
    pub(super) fn assumed_families(&self, suites: &[Suite]) -> families::Found {
        families::assumed(self.sandbox_family(suites))
    }

    /// The same on nodes that are known.
    pub(super) fn inputs_on(
        &self,
        nodes: Vec<Node>,
        (families, services): families::Found,
        filters: &[Pattern],
    ) -> Inputs {
        Inputs {
            run: RunId::from_random(rand::rng().random()),
            nodes,
            families,
            services,
            control_namespace: self.control_namespace.clone(),
            filter: Filter::from(filters.to_vec()),
            max_nodes: self.nodes.len().max(NODES),
        }
    }

    /// How the agents of a run are started; each run has a key of its own.
    pub(super) fn agent(&self) -> AgentSettings {
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

    /// How a run behaves here.
    pub(super) fn options(&self) -> Options {
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
            ..base
        }
    }
}

/// Says why the cluster is of no use.
fn refuse(cluster: &Cluster, refusal: &Refusal) -> Exit {
    let whom = format!("context {} at {}", cluster.context(), cluster.server());
    complain(&format!("{whom}: {}", refusal.message), refusal.remedy.as_deref());
    refusal.exit
}

impl Target {
    /// What the report's first line says of it.
    pub(super) fn info(&self, nodes: &[String]) -> ClusterInfo {
        ClusterInfo {
            context: self.cluster.context().to_owned(),
            server: self.cluster.server().to_owned(),
            version: self.version.clone(),
            nodes: nodes.to_vec(),
        }
    }

    /// Ends the sandbox, if it is one.
    pub(super) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}
