//! `netproof man`: the manual pages, one for each subcommand.

use std::{fs, io, path::Path, path::PathBuf};

use clap::{Args, CommandFactory};

use super::{Arguments, Exit, exit::complain};

/// Write the manual pages, one for each subcommand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof man ~/.local/share/man/man1 && man netproof-run
  netproof man . && man ./netproof-probe.1")]
pub(super) struct ManCommand {
    /// The folder; made where it isn't there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl ManCommand {
    pub(super) fn run(self) -> Exit {
        match write(&self.folder) {
            Ok(()) => Exit::Passed,
            Err(error) => {
                let message = format!("write manual pages to {}: {error}", self.folder.display());
                complain(&message, Some("name a folder that you may write to"));
                Exit::BadInput
            }
        }
    }
}

/// Writes all pages into a folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)
}
