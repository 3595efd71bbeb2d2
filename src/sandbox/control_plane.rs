//! Where the API server stands in the cluster's network: beyond the nodes, under an address of
//! its own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::net::TcpStream;

use super::{
    api::runtime,
    layout::{self, IpFamily},
    node::{self, Network, PodNetwork},
};

/// How long a connection may take to stand, as with a real API server.
const DIAL_WITHIN: Duration = Duration::from_secs(30);

/// The API server's host.
pub(super) struct ControlPlane(PodNetwork);

impl ControlPlane {
    /// Puts it into the network.
    pub(super) async fn stand(network: &Network, family: IpFamily) -> Result<Self, node::Error> {
        network.add_host("control-plane", &layout::control_plane(family)).await.map(Self)
    }

    /// A listener for the API, where the cluster's workloads find it.
    pub(super) async fn listen(&self, family: IpFamily) -> io::Result<tokio::net::TcpListener> {
        let any: IpAddr = match family {
            IpFamily::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            IpFamily::Ipv6 | IpFamily::Dual => Ipv6Addr::UNSPECIFIED.into(),
        };
        let listen = move || -> io::Result<TcpListener> {
            let listener = TcpListener::bind((any, layout::API_PORT))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        tokio::net::TcpListener::from_std(self.0.run(listen).await??)
    }
}

impl runtime::ControlPlane for ControlPlane {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        let network = self.0.clone();
        async move { network.connect(to, DIAL_WITHIN).await }.boxed()
    }
}
