//! The runner: launches what the plan says, asks in rounds until the step has settled,
//! lets the judge decide, and leaves nothing behind.
//!
//! ```text
//! runner ─▶ create, ready, sessions ─▶ marker (canaries) ─▶ step: round, round, … ─▶ sweep
//!                                                            │
//!                                     listeners, dials + controls, listeners
//! ```

mod arrival;
mod asked;
mod backends;
mod cause;
mod change;
mod controls;
mod dial;
mod ends;
mod error;
mod established;
mod follow;
mod launch;
mod live;
mod mark;
mod marker;
mod once;
mod options;
mod round;
mod runner;
mod script;
mod spec;
mod startup;
mod step;
mod stop;
mod suites;
mod sweeping;

pub use error::RunError;
pub use options::Options;
pub use runner::run;
pub use stop::Stop;
