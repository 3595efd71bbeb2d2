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
mod manifests;
mod nodes;
mod oci;
mod output;
mod plan;
mod predict;
mod run;
mod sandbox;
mod schema;
mod signals;
mod state;
mod target;
mod trace;
mod workloads;

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
        Command::Predict(command) => on_runtime(command.run()),
        Command::Explain(command) => on_runtime(command.run()),
        Command::Diff(command) => on_runtime(command.run()),
        Command::Cleanup(command) => on_runtime(command.run()),
        Command::Completions(command) => command.run().into(),
        Command::Image(command) => command.run().into(),
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
