//! The words that every other module shares: port, protocol, family, connectivity.
//!
//! Kubernetes' own terms for Kubernetes' own things. Nothing in here touches a
//! clock, a socket or a cluster.

mod connectivity;
mod error;
mod labels;
pub mod milliseconds;
mod port;
mod run;
mod topology;
mod traffic;

pub use connectivity::{Connectivity, Family};
pub use error::chain;
pub use labels::Labels;
pub use port::{Port, PortError, Protocol, Transport};
pub use run::{RunId, RunIdError};
pub use topology::{
    NAMESPACE_NAME_LABEL, NamedPort, Node, Pod, Service, ServicePort, Target, Topology, Workload,
};
pub use traffic::{End, IpProtocol, IpProtocolError, Traffic, Via};
