//! Taking a port, for both IP families where the pod has both.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::arguments::{Listen, Speech};

/// Handshakes that may wait to be accepted, as far as the kernel's own limit allows.
const BACKLOG: i32 = 4_096;

/// A port could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("listen on {listen}{}", remedy(source))]
pub struct Error {
    listen: Listen,
    #[source]
    source: io::Error,
}

impl Error {
    /// True where the kernel doesn't have the protocol at all.
    pub fn is_unsupported(&self) -> bool {
        self.listen.speech == Speech::Sctp
            && matches!(
                self.source.raw_os_error(),
                Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::ENOPROTOOPT)
            )
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process of the pod listens there: choose another port)"
        }
        io::ErrorKind::PermissionDenied => {
            " (a port below 1024 needs the pod's sysctl net.ipv4.ip_unprivileged_port_start=0)"
        }
        _ => "",
    }
}

/// Listens for streams.
pub fn stream(listen: &Listen) -> Result<TcpListener, Error> {
    let take = || {
        let protocol = match listen.speech {
            Speech::Sctp => Protocol::SCTP,
            _ => Protocol::TCP,
        };
        let socket = both_families(listen.port, Type::STREAM, protocol)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    take().map_err(|source| Error { listen: listen.clone(), source })
}

/// Listens for datagrams, each with the address that it was sent to.
pub fn datagram(listen: &Listen) -> Result<UdpSocket, Error> {
    let take = || {
        let socket = both_families(listen.port, Type::DGRAM, Protocol::UDP)?;
        if socket.local_addr()?.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        UdpSocket::from_std(socket.into())
    };
    take().map_err(|source| Error { listen: listen.clone(), source })
}

/// The port that a listener has.
pub fn port(address: io::Result<SocketAddr>, listen: &Listen) -> Result<u16, Error> {
    address.map(|address| address.port()).map_err(|source| Error { listen: listen.clone(), source })
}

fn both_families(port: u16, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let v6 = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into();
    match bound(v6, kind, protocol) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
            ) =>
        {
            bound(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into(), kind, protocol)
        }
        taken => taken,
    }
}

fn bound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if kind == Type::STREAM {
        // Connections of an agent that was just replaced don't keep the port. Datagram
        // sockets would share it with this flag.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
