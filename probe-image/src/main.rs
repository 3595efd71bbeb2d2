//! The agent as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    netproof_probe::run(std::env::args_os())
}
