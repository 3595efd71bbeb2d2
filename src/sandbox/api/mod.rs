//! The part of the Kubernetes API that netproof and kubectl use.
//!
//! ```text
//! listener ─▶ front ─▶ http ─▶ request ─▶ read, watch            ┐
//!              │                       ─▶ write, patch, delete   ├─▶ store
//!              │                       ─▶ exec, attach, log, port_forward, proxy ─▶ runtime
//!              └─▶ weather, access, audit
//! ```
//!
//! Objects are JSON values all the way; [`resource`] is the table that says what is known
//! of each kind, `rules` what is special about some.

pub mod access;
pub mod admission;
mod attach;
mod audit;
mod body;
mod cause;
pub mod cni;
pub mod conditions;
mod container;
pub mod custom;
mod decode;
pub mod delete;
mod discovery;
mod exec;
pub mod failure;
mod front;
mod health;
mod http;
mod list_options;
mod listener;
mod log;
pub mod names;
pub mod object;
mod openapi;
mod part;
pub mod patch;
mod port_forward;
mod protobuf;
mod proxy;
mod read;
mod refuse;
mod remote;
mod request;
pub mod resource;
mod rules;
pub mod runtime;
pub mod sandbox;
pub mod scale;
pub mod schema;
pub mod selector;
mod session;
mod spdy;
pub mod store;
mod subresource;
mod table;
mod tls;
mod watch;
mod weather;
pub mod write;
mod write_patch;
mod yaml;

pub use front::router;
pub use http::Api;
pub use listener::serve;
pub use part::bind;
pub use rules::{Schedule, ScheduleError};
pub use tls::{CONTEXT, Credentials, TlsError};
