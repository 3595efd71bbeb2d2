//! kubectl, as Debian ships it, against a sandbox: what people type every day.
//!
//! One sandbox serves all trials; each works in a namespace of its own. Without a kubectl
//! that is new enough the trials are ignored, and say so, unless `NETPROOF_REQUIRE_KUBECTL`
//! is set.

mod attempts;
mod definitions;
mod forward;
mod lab;
mod pods;
mod reading;
mod workloads;
mod writing;

use std::{process::ExitCode, sync::OnceLock};

use lab::Lab;
use libtest_mimic::{Arguments, Trial};

/// A trial: what it claims, and how to try it in a namespace.
type Claim = (&'static str, fn(&Lab, &str));

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let claims: Vec<Claim> = [
        reading::CLAIMS,
        writing::CLAIMS,
        definitions::CLAIMS,
        pods::CLAIMS,
        attempts::CLAIMS,
        forward::CLAIMS,
        workloads::CLAIMS,
    ]
    .concat();
    let missing = lab::missing();
    if let Some(reason) = &missing {
        println!("ignored: {reason}");
    }
    static LAB: OnceLock<Lab> = OnceLock::new();
    let trials = claims
        .into_iter()
        .map(|(name, try_it)| {
            let trial = Trial::test(name, move || {
                let lab = LAB.get_or_init(Lab::start);
                let namespace = name.chars().take(60).collect::<String>().replace('_', "-");
                lab.ok("default", &["create", "namespace", namespace.trim_end_matches('-')]);
                try_it(lab, namespace.trim_end_matches('-'));
                Ok(())
            });
            trial.with_ignored_flag(missing.is_some())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A static is never dropped.
    if let Some(lab) = LAB.get() {
        lab.stop();
    }
    if missing.is_some() && std::env::var_os(lab::REQUIRED).is_some() {
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
