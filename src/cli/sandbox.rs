//! `netproof sandbox`: the cluster in a process, on its own.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{Exit, exit::complain, signals};
use crate::{
    model::chain,
    run::Stop,
    sandbox::{
        fault::Fault,
        process::{Options, Sandbox},
    },
};

/// The running program, which is also the sandbox and the agent.
const SELF: &str = "/proc/self/exe";

/// Run a cluster in a process: real packets, no root, nothing to install.
#[derive(Debug, Args)]
pub(super) struct SandboxCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a sandbox, write its kubeconfig, and keep it until Ctrl-C.
    #[command(after_help = "\
Example:
  netproof sandbox up --kubeconfig sandbox.kubeconfig &
  netproof run --kubeconfig sandbox.kubeconfig suites/shop.yaml")]
    Up(UpCommand),
}

#[derive(Debug, Args)]
struct UpCommand {
    /// Where to write the kubeconfig, readable by you alone.
    #[arg(long, value_name = "FILE", default_value = "netproof-sandbox.kubeconfig")]
    kubeconfig: PathBuf,
    /// Break something on purpose, as in `--fault ignore-egress` or `--fault api-429=20%`; may be
    /// given several times. A wrong one lists all.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
}

impl SandboxCommand {
    pub async fn run(self) -> Exit {
        let Command::Up(command) = self.command;
        command.run().await
    }
}

impl UpCommand {
    async fn run(self) -> Exit {
        let stop = Stop::new();
        if let Err(error) = signals::watch(stop.clone()) {
            complain(&format!("listen for signals: {error}"), None);
            return Exit::Undecided;
        }
        let Some(sandbox) = start(self.faults).await else { return Exit::Undecided };
        if let Err(error) = write_private(&self.kubeconfig, sandbox.kubeconfig()) {
            let remedy = "name a file in a folder that exists and that you may write to";
            complain(&format!("write {}: {error}", self.kubeconfig.display()), Some(remedy));
            sandbox.stop().await;
            return Exit::BadInput;
        }
        // Nobody may be there to read it; the file stands all the same.
        let _ = writeln!(anstream::stdout(), "{}", self.kubeconfig.display());
        let _ =
            writeln!(anstream::stderr(), "The sandbox is up; it ends with this process (Ctrl-C).");
        stop.stopped().await;
        sandbox.stop().await;
        // The credentials in it are worth nothing any more.
        let _ = std::fs::remove_file(&self.kubeconfig);
        Exit::Passed
    }
}

/// Starts a sandbox, or says why it can't.
pub(super) async fn start(faults: Vec<Fault>) -> Option<Sandbox> {
    let options = Options { faults, ..Options::default() };
    match Sandbox::start(Path::new(SELF), &options).await {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            complain(&chain(&error), None);
            None
        }
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| std::io::Error::from(error.kind()))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
