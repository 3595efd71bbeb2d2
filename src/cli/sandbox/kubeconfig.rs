//! `netproof sandbox kubeconfig`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Trouble,
    files::write_kubeconfig,
    merge::{self, Merged},
    state::{self, Home},
};
use crate::cli::Exit;

/// Print a sandbox's kubeconfig, or write it somewhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox kubeconfig --merge && kubectl config use-context netproof-default
  netproof sandbox kubeconfig --output sandbox.kubeconfig")]
pub(super) struct KubeconfigCommand {
    /// Which sandbox; else `default`, or the only one that is up.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// Write it here, readable by you alone.
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    output: Option<PathBuf>,
    /// Add it to the first file of $KUBECONFIG, or to ~/.kube/config, as the context
    /// `netproof-NAME`. The current context stays, if there is one. It goes with the sandbox.
    #[arg(long)]
    merge: bool,
}

impl KubeconfigCommand {
    pub(super) fn run(self) -> Result<Exit, Trouble> {
        let kept = Home::open()?.choose(self.name.as_deref())?;
        let text = fs::read_to_string(kept.kubeconfig()).map_err(|_| {
            let message = format!("the sandbox `{}` is still starting", kept.name);
            Trouble::input(message, "try again in a second")
        })?;
        if let Some(file) = &self.output {
            write_kubeconfig(file, &text)?;
        } else if self.merge {
            let file = into_own(&text, &kept.context())?;
            kept.note_merged(&file).map_err(|error| {
                Trouble::machine(format!("note that it is in {}: {error}", file.display()))
            })?;
        } else {
            let _ = anstream::stdout().write_all(text.as_bytes());
        }
        Ok(Exit::Passed)
    }
}

/// Adds a kubeconfig to the user's own. Says to which file.
fn into_own(text: &str, context: &str) -> Result<PathBuf, Trouble> {
    let file = own_file()?;
    let there = match fs::read_to_string(&file) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let message = format!("read {}: {error}", file.display());
            return Err(Trouble::input(message, "name a file that you may read in $KUBECONFIG"));
        }
    };
    let Merged { text, is_current } = merge::merge(&there, text, context).map_err(|error| {
        let message = format!("{}: {error}", file.display());
        Trouble::input(message, "mend it, or write to a file of its own with `--output FILE`")
    })?;
    if let Some(folder) = file.parent() {
        // Whether it is there shows when the file is written.
        let _ = fs::create_dir_all(folder);
    }
    // A link stays a link; what it leads to is written.
    let target = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
    write_kubeconfig(&target, &text)?;
    let mut err = anstream::stderr();
    let _ = writeln!(err, "The context `{context}` is in {}.", file.display());
    if !is_current {
        let _ = writeln!(err, "  kubectl config use-context {context}");
    }
    Ok(target)
}

/// Where kubectl would write.
fn own_file() -> Result<PathBuf, Trouble> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".kube/config"));
    listed.or_else(home).ok_or_else(|| {
        Trouble::input("neither $KUBECONFIG nor $HOME is set", "use `--output FILE`")
    })
}
