//! `netproof sandbox shell`.

use std::{io::Write, os::unix::process::CommandExt as _, process::Command};

use clap::Args;

use super::{
    Trouble,
    state::{self, Home},
};
use crate::cli::Exit;

/// Open a shell whose kubectl speaks to a sandbox that is up.
///
/// $KUBECONFIG leads to the sandbox, and $NETPROOF_SANDBOX holds its name. The shell is
/// $SHELL, or sh; it takes this process's place, so that its exit code is passed on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox shell
  echo 'kubectl get pods -A' | netproof sandbox shell lossy")]
pub(super) struct ShellCommand {
    /// Which sandbox; else `default`, or the only one that is up.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
}

impl ShellCommand {
    pub(super) fn run(self) -> Result<Exit, Trouble> {
        let kept = Home::open()?.choose(self.name.as_deref())?;
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let shell = shell.unwrap_or_else(|| "/bin/sh".into());
        let mut err = anstream::stderr();
        let _ = writeln!(
            err,
            "A shell for the sandbox `{}`: kubectl and netproof speak to it. `exit` leaves the \
             shell, and the sandbox up.",
            kept.name
        );
        let error = Command::new(&shell)
            .env("KUBECONFIG", kept.kubeconfig())
            .env("NETPROOF_SANDBOX", &kept.name)
            .exec();
        let message = format!("start {}: {error}", shell.display());
        Err(Trouble::input(message, "set SHELL to a shell that is there"))
    }
}
