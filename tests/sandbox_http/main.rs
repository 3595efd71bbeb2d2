//! The sandbox's API over HTTPS, by two clients, with nothing that runs behind it.

#![cfg(target_os = "linux")]

mod access;
mod kit;
mod objects;
mod owners;
mod refusals;
mod watches;
