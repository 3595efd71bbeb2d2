//! Connections to a pod's own `localhost`, as runtimes make them for `kubectl port-forward`:
//! from inside, past every policy.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    time::Duration,
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::sandbox::{api::runtime::NoPort, node::PodNetwork};

/// How long one address may take. On `lo` nothing is slow but a full backlog.
const WITHIN: Duration = Duration::from_secs(5);

/// Connects to a port; by IPv6 where nothing listens by IPv4.
pub(super) async fn connect(pod: PodNetwork, port: u16) -> Result<TcpStream, NoPort> {
    let v4 = match dial(&pod, Ipv4Addr::LOCALHOST.into(), port).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    dial(&pod, Ipv6Addr::LOCALHOST.into(), port).await.map_err(|v6| NoPort::Closed(v4, v6))
}

async fn dial(pod: &PodNetwork, to: IpAddr, port: u16) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let open =
        move || -> io::Result<OwnedFd> { Ok(socket(family, SockType::Stream, flags, None)?) };
    let socket = pod.run(open).await??;
    let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
    timeout(WITHIN, socket.connect((to, port).into())).await?
}
