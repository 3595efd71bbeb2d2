//! Every call to Kubernetes: connect, preflight, launch, watch, session, lease, sweep.
//!
//! ```text
//! Cluster ── RunContext ── namespaces, owners, manifests, pods ── Pods (watch)
//!                │                                                └ Session (exec)
//!                └──────── RunLease ──────────────────────────────── sweep / cleanup
//! ```
//!
//! Every wait in here has a deadline, and every error names its stage and its object.

mod application;
mod canary;
mod change;
mod cleanup;
mod connect;
mod error;
mod families;
mod first_instants;
mod kinds;
mod launch;
mod lease;
mod manifests;
mod marks;
mod meddling;
mod nodes;
mod not_ready;
mod pod_spec;
mod pod_state;
mod pods;
mod policy_kinds;
mod policy_state;
mod preflight;
mod proxy;
mod removal;
mod repeat;
mod retry;
mod run_context;
mod search;
mod service;
mod session;
mod sweep;
mod unfinished;

pub use application::{Application, BringError, Brought};
pub use canary::ControlPolicy;
pub use change::UndoReport;
pub use cleanup::{AbandonedRun, CleanupOptions, CleanupReport, cleanup};
pub use connect::{Cluster, ConnectError, Kubeconfig};
pub use error::{Error, ErrorKind};
pub use launch::CreatedPod;
pub use lease::RunLease;
pub use manifests::{Applied, ObjectRef};
pub use meddling::Meddling;
pub use nodes::{Node, Nodes};
pub use not_ready::{Ended, NotReady, NotReadyPod};
pub use pod_spec::AGENT_CONTAINER;
pub use pod_state::{ContainerProblem, PodState};
pub use pods::Pods;
pub use policy_state::{Missing, PolicyState};
pub use preflight::{Finding, Preflight, Severity, preflight};
pub use run_context::{AgentSettings, RunContext};
pub use service::{Endpoint, ServiceView};
pub use session::{BatchOutcome, Clock, Session, SessionError, SessionStage};
pub use sweep::{SweepReport, sweep};
pub use unfinished::{Finished, Unfinished, Watched};
