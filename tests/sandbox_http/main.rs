//! The sandbox's API over HTTPS, by two clients, with nothing that runs behind it.

#![cfg(target_os = "linux")]

mod access;
mod cluster;
mod dialogue;
mod jobs;
mod kit;
mod nodes;
mod objects;
mod owners;
mod reads;
mod refusals;
mod watches;
mod workloads;
