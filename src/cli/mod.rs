//! The command line: a file per subcommand, flags turned into checked options, one exit
//! code.

mod check;
mod cleanup;
mod completions;
mod diff;
mod elf;
mod execute;
mod exit;
mod explain;
mod families;
mod image;
mod init;
mod leftovers;
mod man;
mod manifests;
mod named;
mod nodes;
mod oci;
mod output;
mod plan;
mod predict;
mod probe;
mod run;
mod sandbox;
mod sandbox_objects;
mod schema;
mod signals;
mod state;
mod target;
mod trace;
mod workloads;
mod yaml;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Proves that a cluster's CNI really enforces NetworkPolicy: sends the packets, backs
/// every denial with controls, and says what it could not tell.
#[derive(Debug, Parser)]
#[command(
    name = "netproof",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  netproof check suites/*.yaml                     find every mistake, touch nothing
  netproof run --sandbox suites/shop.yaml          on this machine, without a cluster
  netproof run --context staging suites/shop.yaml  in a cluster
  netproof plan suites/shop.yaml                   what a run would create and ask
  netproof probe --from shop/web --to shop/db --port 5432        one question, no file
  netproof init --manifests deploy/ > suite.yaml   a suite to begin with
  netproof predict --manifests deploy/             what the policies mean, no packet sent
  netproof cleanup --context staging               remove what a killed run left

Exit codes:
  0 all passed                          3 could not tell, or incomplete
  1 a claim failed                      4 the CNI does not enforce
  2 bad input, nothing was touched      130 interrupted"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a suite's questions and judge the answers.
    Run(Box<run::RunCommand>),
    /// Find every mistake of suites, without touching a cluster.
    Check(check::CheckCommand),
    /// Say what a run would create and ask, with nothing done.
    Plan(Box<plan::PlanCommand>),
    /// Ask one question: can this reach that?
    Probe(Box<probe::ProbeCommand>),
    /// Write a starting suite from the policies of a cluster or of manifests.
    Init(init::InitCommand),
    /// Say what policies mean for suites or for all workloads; no packet is sent.
    Predict(Box<predict::PredictCommand>),
    /// Say why the policies let one connection through, or don't.
    Explain(Box<explain::ExplainCommand>),
    /// Say which connections a change of policies opens and closes.
    Diff(Box<diff::DiffCommand>),
    /// Remove what killed runs have left in a cluster.
    Cleanup(cleanup::CleanupCommand),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsCommand),
    /// Make the image that probe pods run.
    Image(image::ImageCommand),
    /// Write the manual pages.
    Man(man::ManCommand),
    /// Print the JSON Schema of suites, for editors.
    Schema(schema::SchemaCommand),
    /// Run a cluster in a process: real packets, no root, nothing to install.
    Sandbox(sandbox::SandboxCommand),
}

/// Parses the arguments, the program's name first, and does what they say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::BadInput } else { Exit::Passed };
            // Where even this can't be printed, the exit code still tells.
            let _ = error.print();
            return exit.into();
        }
    };
    trace::install();
    match arguments.command {
        Command::Run(command) => on_runtime(command.run()),
        Command::Check(command) => command.run().into(),
        Command::Plan(command) => on_runtime(command.run()),
        Command::Probe(command) => on_runtime(command.run()),
        Command::Init(command) => on_runtime(command.run()),
        Command::Predict(command) => on_runtime(command.run()),
        Command::Explain(command) => on_runtime(command.run()),
        Command::Diff(command) => on_runtime(command.run()),
        Command::Cleanup(command) => on_runtime(command.run()),
        Command::Completions(command) => command.run().into(),
        Command::Image(command) => command.run().into(),
        Command::Man(command) => command.run().into(),
        Command::Schema(command) => command.run().into(),
        Command::Sandbox(command) => on_runtime(command.run()),
    }
}

fn on_runtime(work: impl Future<Output = Exit>) -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            exit::complain(&format!("start the runtime: {error}"), None);
            return Exit::Undecided.into();
        }
    };
    let exit = runtime.block_on(work);
    // A blocked read of standard input must not keep the process.
    runtime.shutdown_background();
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn each(command: &clap::Command, path: &str, look: &mut impl FnMut(&str, &clap::Command)) {
        look(path, command);
        for below in command.get_subcommands() {
            each(below, &format!("{path} {}", below.get_name()), look);
        }
    }

    #[test]
    fn every_subcommand_teaches_by_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        let mut seen = 0;
        each(&command, "netproof", &mut |path, command| {
            seen += 1;
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{path} --help shows no example");
            let own = format!("  {path} ");
            let shows_itself = help.contains(own.trim_end()) || help.contains(own.trim_start());
            assert!(shows_itself, "{path} --help shows no example of itself: {help}");
            assert!(command.get_about().is_some(), "{path} doesn't say what it does");
        });
        assert!(seen > 20, "{seen} commands");
    }

    #[test]
    fn completions_and_manual_pages_know_every_subcommand_and_flag() {
        let command = Arguments::command();
        let folder = tempfile::tempdir().expect("a folder");
        man::write(folder.path()).expect("pages");
        for shell in
            [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish]
        {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), "netproof", &mut script);
            let script = String::from_utf8(script).expect("text");
            each(&command, "netproof", &mut |path, command| {
                assert!(script.contains(command.get_name()), "{shell}: {path}");
                for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
                    let Some(long) = flag.get_long() else { continue };
                    assert!(script.contains(long), "{shell}: {path} --{long}");
                    let page = folder.path().join(format!("{}.1", path.replace(' ', "-")));
                    let page = std::fs::read_to_string(page).expect("a page");
                    let escaped = long.replace('-', "\\-");
                    assert!(page.contains(&escaped), "manual: {path} --{long}");
                }
            });
        }
    }
}
