//! Situations in which a connectivity test is tempted to lie, each really produced, with the
//! verdict and the reason that it must come to.

#[path = "../support/mod.rs"]
mod support;

mod causes;
mod faults;
mod guests;
mod input;
mod list;
mod meddling;
mod peers;
mod protocols;
mod stage;
mod time;

/// Runs a suite in a sandbox of its own, with these arguments besides.
fn sandboxed(more: &[&str]) -> support::Finished {
    support::run(&[&["run", "--sandbox", "--output", "json"], more].concat())
}
