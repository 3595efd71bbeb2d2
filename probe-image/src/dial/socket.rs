//! A socket on its way to a destination, bound to a source port of our choice.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::PoisonError,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Dialer, failure::Failure};
use crate::{
    clock,
    source_port::{Destination, Transport},
};

/// Ports to try where something else in the pod has taken one.
const TRIES: usize = 64;

impl Dialer {
    /// Begins to connect. The port is zero where none was free.
    pub(super) fn open(
        &self,
        address: SocketAddr,
        transport: Transport,
    ) -> (u16, Result<Socket, Failure>) {
        let mut error = io::Error::from_raw_os_error(libc::EADDRINUSE);
        for _ in 0..TRIES {
            let Some(port) = self.next_port(address, transport) else { break };
            match connect(address, transport, port) {
                // A port that something else uses is no attempt.
                Err(taken)
                    if matches!(
                        taken.raw_os_error(),
                        Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)
                    ) =>
                {
                    error = taken;
                }
                Err(error) => return (port, Err(refused(transport, &error))),
                Ok(socket) => return (port, Ok(socket)),
            }
        }
        (0, Err(Failure::from_errno(&error)))
    }

    fn next_port(&self, address: SocketAddr, transport: Transport) -> Option<u16> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.next(Destination { transport, address }, clock::now())
    }
}

/// Why the kernel gave no such socket, or sent nothing by it.
fn refused(transport: Transport, error: &io::Error) -> Failure {
    let missing = matches!(
        error.raw_os_error(),
        Some(
            libc::EPROTONOSUPPORT
                | libc::ESOCKTNOSUPPORT
                | libc::ENOPROTOOPT
                | libc::EINVAL
                | libc::EPROTOTYPE
        )
    );
    match (transport, error.raw_os_error()) {
        (Transport::Sctp, _) if missing => {
            Failure::Unsupported(format!("the kernel under this pod has no SCTP ({error})"))
        }
        (Transport::Icmp, Some(libc::EACCES | libc::EPERM)) => Failure::Unsupported(
            "the pod may not ping: its sysctl net.ipv4.ping_group_range leaves out its group"
                .to_owned(),
        ),
        (Transport::Icmp, _) if missing => {
            Failure::Unsupported(format!("the kernel under this pod has no ping sockets ({error})"))
        }
        _ => Failure::from_errno(error),
    }
}

fn connect(address: SocketAddr, transport: Transport, port: u16) -> io::Result<Socket> {
    let (kind, protocol) = match (transport, address) {
        (Transport::Tcp, _) => (Type::STREAM, Protocol::TCP),
        (Transport::Udp, _) => (Type::DGRAM, Protocol::UDP),
        (Transport::Sctp, _) => (Type::STREAM, Protocol::SCTP),
        (Transport::Icmp, SocketAddr::V4(_)) => (Type::DGRAM, Protocol::ICMPV4),
        (Transport::Icmp, SocketAddr::V6(_)) => (Type::DGRAM, Protocol::ICMPV6),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    let local = if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
    };
    if matches!(transport, Transport::Tcp | Transport::Sctp) {
        // One port goes to many destinations at once, and a connection to one of them that
        // has ended a moment ago doesn't keep it.
        socket.set_reuse_address(true)?;
        // Closing leaves nothing behind in the kernel: an attempt that another one has
        // overtaken, or a conversation that has ended.
        socket.set_linger(Some(Duration::ZERO))?;
    }
    socket.bind(&local.into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => {
            // The error queue, if there is one, is read by nobody: connect() fails by the
            // local routes only.
            Err(error)
        }
        Ok(()) => Ok(socket),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::wire::SOURCE_PORTS;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn open(address: SocketAddr) -> (u16, TcpStream) {
        let dialer = Dialer::new(crate::question::Key::from_bytes([0; 32]), 8);
        let (port, socket) = dialer.open(address, Transport::Tcp);
        let stream = TcpStream::from(socket.unwrap());
        (port, stream)
    }

    #[test]
    fn one_port_goes_to_two_destinations_at_once() {
        let ((_one, one), (_other, other)) = (listener(), listener());
        let (port, _first) = open(one);
        assert!(SOURCE_PORTS.contains(&port));
        connect(other, Transport::Tcp, port).expect("the same port to another destination");
        let again = connect(one, Transport::Tcp, port).expect_err("the same connection twice");
        assert_eq!(again.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn a_connection_that_just_ended_does_not_keep_its_port() {
        let ((ended, address), (_other, other)) = (listener(), listener());
        let (port, stream) = open(address);
        let (accepted, peer) = ended.accept().unwrap();
        assert_eq!(peer.port(), port);
        // With an orderly end this side is left in TIME_WAIT.
        socket2::SockRef::from(&stream).set_linger(None).unwrap();
        drop(stream);
        drop(accepted);
        connect(other, Transport::Tcp, port).expect("the same port to another destination");
    }

    #[test]
    fn a_port_that_the_pod_listens_on_is_passed_over() {
        let (listener, address) = listener();
        let taken = listener.local_addr().unwrap().port();
        let error = connect(address, Transport::Tcp, taken).expect_err("a port in use");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let taken = socket.local_addr().unwrap().port();
        let error = connect(address, Transport::Udp, taken).expect_err("a port in use");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE), "datagrams too");
    }
}
