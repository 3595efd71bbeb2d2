//! The agent inside a probe pod.
//!
//! `wire` and `question` are what a runner needs to talk to one; the rest, behind the
//! feature `net`, is the agent: `serve` listens, `session` takes requests and has `dial`
//! make the probes.

pub mod question;
pub mod wire;

#[cfg(feature = "net")]
mod arguments;
#[cfg(feature = "net")]
mod clock;
#[cfg(feature = "net")]
mod dial;
#[cfg(feature = "net")]
mod limits;
#[cfg(feature = "net")]
mod resolve;
#[cfg(feature = "net")]
mod run;
#[cfg(feature = "net")]
mod serve;
#[cfg(feature = "net")]
mod session;
#[cfg(feature = "net")]
mod source_port;
#[cfg(feature = "net")]
mod startup;

#[cfg(feature = "net")]
pub use run::run;
