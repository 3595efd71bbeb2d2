//! The agent inside a probe pod: `wire` is what a runner needs to talk to one.

pub mod wire;
