//! The sandbox's ground on real packets: namespaces, processes, firewall.
//!
//! Each trial starts a sandbox of its own, whose child is this same binary under another
//! name; the scenario runs in there, beside its network, and sends its result back.

mod broken;
mod flows;
mod host_ports;
mod lab;
mod nft;
mod parts;
mod policies;
mod processes;
mod scenario;
mod services;
mod wires;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use netproof::sandbox::process;

fn main() -> ExitCode {
    if process::is_child() {
        return process::child_main(scenario::serve);
    }
    if lab::is_agent() {
        return lab::agent();
    }
    if processes::is_parent() {
        return processes::parent();
    }
    let arguments = Arguments::from_args();
    let scenarios = scenario::all()
        .into_iter()
        .map(|(name, _)| Trial::test(name, move || scenario::run(name).map_err(Into::into)));
    let trials = scenarios.chain(processes::trials()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
