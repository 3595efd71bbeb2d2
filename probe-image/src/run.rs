//! From the command line to the exit status.

use std::{error::Error, ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;
use tokio::{io::BufReader, runtime::Builder};

use crate::{
    arguments::{Arguments, Command},
    limits, serve,
    session::{self, End},
};

/// Events that one turn of the reactor takes: all sockets of a large batch, so that a
/// probe's window doesn't end before its handshake is seen.
const EVENTS: usize = 16_384;

/// The kernel refused, or the session was lost.
const FAILED: u8 = 1;

/// The arguments, or the first line of a session, were wrong.
const MISUSED: u8 = 2;

/// Runs the agent. `arguments` begin with the program's own name, as `main` has them.
///
/// Has a runtime of its own on the calling thread, and must not be called within another.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(MISUSED));
        }
    };
    let sockets = limits::raise_open_files();
    let runtime = Builder::new_current_thread().enable_all().max_io_events_per_tick(EVENTS).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Serve(arguments) => match serve::run(arguments, sockets).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            },
            Command::Dial(arguments) => {
                let input = BufReader::new(tokio::io::stdin());
                let output = tokio::io::stdout();
                match session::run(input, output, sockets, arguments).await {
                    End::Done => ExitCode::SUCCESS,
                    End::Lost => ExitCode::from(FAILED),
                    End::Refused => ExitCode::from(MISUSED),
                }
            }
        }
    });
    // A thread may hang in a read of standard input for ever.
    runtime.shutdown_background();
    code
}

/// Prints an error with its causes.
fn fail(error: &dyn Error) -> ExitCode {
    let mut line = format!("netproof-probe: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(FAILED)
}
