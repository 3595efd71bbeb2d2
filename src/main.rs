//! argv in, exit code out. The same file is the command line, the probe agent, the
//! sandbox and its DNS server; under which name it was started decides.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    if name == netproof_probe::wire::BINARY {
        return netproof_probe::run(env::args_os());
    }
    if let Some(program) = netproof::sandbox::program(name) {
        return program();
    }
    netproof::cli::main(env::args_os())
}
