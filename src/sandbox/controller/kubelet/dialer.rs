//! Connections from the nodes' own networks, for probes.
//!
//! A socket belongs to the network in which it was opened, and only a thread can be in one.
//! A thread for each probe would be dear where there are a thousand pods; so each node has
//! one that stays and opens sockets for whoever asks.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::sandbox::node::Network;

type Ask = (AddressFamily, oneshot::Sender<io::Result<OwnedFd>>);

/// Opens connections from nodes.
#[derive(Debug)]
pub(super) struct Dialer {
    network: Network,
    nodes: Mutex<HashMap<String, mpsc::Sender<Ask>>>,
}

impl Dialer {
    pub(super) fn new(network: Network) -> Self {
        Self { network, nodes: Mutex::default() }
    }

    /// Connects from a node.
    pub(super) async fn connect(
        &self,
        node: &str,
        to: SocketAddr,
        within: Duration,
    ) -> io::Result<TcpStream> {
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let (reply, socket) = oneshot::channel();
        let gone = || io::Error::other("the node's thread is gone");
        self.thread(node)?.send((family, reply)).map_err(|_| gone())?;
        let socket = socket.await.map_err(|_| gone())??;
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
        timeout(within, socket.connect(to)).await?
    }

    /// The way to a node's thread, which is started when it is first needed.
    fn thread(&self, node: &str) -> io::Result<mpsc::Sender<Ask>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = nodes.get(node) {
            return Ok(known.clone());
        }
        let host = self.network.host_network(node).map_err(io::Error::other)?;
        let (sender, receiver) = mpsc::channel::<Ask>();
        tokio::spawn(async move {
            let answer = move || {
                let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
                for (family, reply) in receiver {
                    let socket = socket(family, SockType::Stream, flags, None);
                    // Nobody waits any more where a probe was given up.
                    let _ = reply.send(socket.map_err(io::Error::from));
                }
            };
            if let Err(error) = host.run(answer).await {
                tracing::warn!(%error, "enter a node's network for probes");
            }
        });
        nodes.insert(node.to_owned(), sender.clone());
        Ok(sender)
    }
}
