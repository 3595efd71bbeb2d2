//! `netproof sandbox`: the cluster in a process, on its own.

mod announce;
mod audit;
mod cni;
mod down;
mod files;
mod flows;
mod kubeconfig;
mod live;
mod merge;
mod rules;
mod shell;
mod state;
mod status;
mod up;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Exit, exit::complain};
use crate::{
    model::chain,
    sandbox::{
        fault::Fault,
        layout::IpFamily,
        process::{Options, Sandbox, StartError},
    },
};

/// The running program, which is also the sandbox and the agent.
const SELF: &str = "/proc/self/exe";

/// Run a cluster in a process: real packets, no root, nothing to install.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox up --nodes 3                start one, and keep it
  netproof sandbox kubeconfig --merge          for kubectl, as the context netproof-default
  netproof sandbox flows --follow              who connects to whom, and which policy decided
  netproof sandbox down")]
pub(super) struct SandboxCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a sandbox and keep it in the background.
    Up(up::UpCommand),
    /// End a sandbox, and wait until nothing of it is left.
    Down(down::DownCommand),
    /// Say which sandboxes are up.
    Status(status::StatusCommand),
    /// Print a sandbox's kubeconfig, or write it somewhere.
    Kubeconfig(kubeconfig::KubeconfigCommand),
    /// Say who asked a sandbox's API for what.
    Audit(audit::AuditCommand),
    /// Open a shell whose kubectl speaks to a sandbox.
    Shell(shell::ShellCommand),
    /// Print a node's firewall rules, each with the policy that made it.
    Rules(rules::RulesCommand),
    /// Print the new connections of pods, each with what policies said of it.
    Flows(flows::FlowsCommand),
}

impl SandboxCommand {
    pub async fn run(self) -> Exit {
        let done = match self.command {
            Command::Up(command) => command.run().await,
            Command::Down(command) => command.run().await,
            Command::Status(command) => command.run().await,
            Command::Kubeconfig(command) => command.run(),
            Command::Audit(command) => command.run().await,
            Command::Shell(command) => command.run(),
            Command::Rules(command) => command.run().await,
            Command::Flows(command) => command.run().await,
        };
        done.unwrap_or_else(|trouble| {
            complain(&trouble.message, trouble.remedy.as_deref());
            trouble.exit
        })
    }
}

/// Why a subcommand could not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    message: String,
    remedy: Option<String>,
    exit: Exit,
}

impl Trouble {
    /// Something that the user can set right; nothing was touched.
    fn input(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: Some(remedy.into()), exit: Exit::BadInput }
    }

    /// Something that the machine refused.
    fn machine(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None, exit: Exit::Undecided }
    }
}

impl From<StartError> for Trouble {
    fn from(error: StartError) -> Self {
        Self::machine(chain(&error))
    }
}

/// How many nodes a sandbox may have.
pub(super) fn nodes() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(1..=200)
}

/// Starts a sandbox, or says why it can't.
pub(super) async fn start(
    nodes: Option<u8>,
    faults: Vec<Fault>,
    ip_family: IpFamily,
) -> Option<Sandbox> {
    let options = Options { ip_family, ..options(nodes, faults) };
    match Sandbox::start(Path::new(SELF), &options).await {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            let trouble = Trouble::from(error);
            complain(&trouble.message, trouble.remedy.as_deref());
            None
        }
    }
}

fn options(nodes: Option<u8>, faults: Vec<Fault>) -> Options {
    let base = Options::default();
    Options { nodes: nodes.map_or(base.nodes, usize::from), faults, ..base }
}
