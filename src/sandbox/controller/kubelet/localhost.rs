//! Connections to a pod's own `localhost`, as runtimes make them for `kubectl port-forward`:
//! from inside, past every policy.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use tokio::net::TcpStream;

use crate::sandbox::{api::runtime::NoPort, node::PodNetwork};

/// How long one address may take. On `lo` nothing is slow but a full backlog.
const WITHIN: Duration = Duration::from_secs(5);

/// Connects to a port; by IPv6 where nothing listens by IPv4.
pub(super) async fn connect(pod: PodNetwork, port: u16) -> Result<TcpStream, NoPort> {
    let v4 = match pod.connect((Ipv4Addr::LOCALHOST, port).into(), WITHIN).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let v6 = pod.connect((Ipv6Addr::LOCALHOST, port).into(), WITHIN).await;
    v6.map_err(|v6| NoPort::Closed(v4, v6))
}
