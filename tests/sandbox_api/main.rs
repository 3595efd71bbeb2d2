//! Whole sandboxes, each the real process, by their API alone.

#![cfg(target_os = "linux")]

mod cni;
mod kit;
mod network;
mod pods;
mod preemption;
mod proxy;
mod services;
mod stand_ins;
mod ways;
mod weather;
