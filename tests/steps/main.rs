//! Steps: what they change comes to pass, is asked, and is as it was afterwards.

#[path = "../support/mod.rs"]
mod support;

mod kit;
mod others;
mod own;
