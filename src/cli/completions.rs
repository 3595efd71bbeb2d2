//! `netproof completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Exit};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  netproof completions bash > ~/.local/share/bash-completion/completions/netproof")]
pub(super) struct CompletionsCommand {
    /// The shell.
    shell: Shell,
}

impl CompletionsCommand {
    pub fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "netproof", &mut script);
        match std::io::Write::write_all(&mut std::io::stdout(), &script) {
            Ok(()) => Exit::Passed,
            Err(_) => Exit::Undecided,
        }
    }
}
