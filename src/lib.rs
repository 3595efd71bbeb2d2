//! netproof proves that a Kubernetes cluster's CNI really enforces NetworkPolicy.
//!
//! A run, from left to right; what stands above the line thinks and touches nothing,
//! what stands below it acts:
//!
//! ```text
//!   suite ──▶ plan ─────────────┐        verdict ◀── observation, controls
//!   YAML, checked  pods, cases  │           │  ▲
//!  ─────────────────────────────┼───────────┼──┼──────────────────────────────
//!   cli ──▶ cluster ──▶ run: launch, rounds, settle ──▶ event ──▶ report
//!     │       ▲                  │
//!     │       │ kubeconfig       └─ sessions to the agents (netproof-probe)
//!     └──▶ sandbox: API, nodes, pods, firewall
//! ```
//!
//! - [`model`]: the shared words: port, protocol, family, connectivity.
//! - [`suite`]: YAML to a checked suite, with diagnostics at their place.
//! - [`topology`]: what stands in a cluster or in manifests.
//! - [`policy`]: what the policies mean for a connection, and which rule says so.
//! - [`plan`]: who is launched where, what is asked, which controls back it.
//! - [`verdict`]: the judge, and when a step has settled.
//! - [`event`]: what happened, as owned facts.
//! - [`report`]: the fold of all facts, and a writer per format.
//! - [`cluster`]: every call to Kubernetes.
//! - [`run`]: rounds, settling, cancelling.
//! - [`sandbox`]: a cluster in a process, which the runner meets as a kubeconfig.
//! - [`cli`]: a file per subcommand.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "netproof builds on Linux only: its agent and its sandbox use Linux's own sockets and \
     namespaces. The Dockerfile builds it in a container."
);

pub mod cli;
pub mod cluster;
pub mod event;
pub mod model;
pub mod plan;
pub mod policy;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod suite;
pub mod topology;
pub mod verdict;
