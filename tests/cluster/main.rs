//! The calls to Kubernetes against a sandbox: a real API, real pods, a real exec.

#![cfg(target_os = "linux")]

mod killed;
mod lab;
mod launch;
mod preflight;
mod session;
mod sweep;
